"""A key in the clear in place of a sealed one is recognised, and what is sealed but written otherwise is not taken for one."""

import json
import string
from base64 import b64encode, urlsafe_b64encode

import pytest
from common.crypto.sealed_commands import SealingKey, decoded, seal
from connector.domain import exposes_key, holds_xai_key, looks_sealed
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

RECIPIENT = SealingKey("first", X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw())
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))


def sealed(key: str) -> str:
    return seal(key, RECIPIENT, environment="test", account_id="account-1", command_id="command-1")


@given(st.text(PRINTABLE, min_size=1, max_size=512))
def test_what_is_sealed_as_documented_is_not_taken_for_a_key(key: str) -> None:
    assert looks_sealed(sealed(key))


@given(st.text(PRINTABLE, min_size=1, max_size=512), st.booleans())
def test_what_is_sealed_and_then_written_otherwise_is_not_taken_for_a_key(key: str, url_safe: bool) -> None:  # noqa: FBT001 - a case
    encapsulated, ciphertext = map(decoded, sealed(key).split(".")[2:])
    encode = urlsafe_b64encode if url_safe else b64encode

    def written(data: bytes) -> str:
        return encode(data).decode()

    forms = [
        written(encapsulated + ciphertext),
        (encapsulated + ciphertext).hex(),
        f"{written(encapsulated)}.{written(ciphertext)}",
        f"v2.first.{written(encapsulated)}:{written(ciphertext)}",
        json.dumps({"enc": written(encapsulated), "ct": written(ciphertext)}, separators=(",", ":")),
        " ".join((written(encapsulated), written(ciphertext))),
    ]

    assert [form for form in forms if looks_sealed(form) or exposes_key(form)] == []


@given(
    st.text(string.ascii_letters + string.digits + "-_", min_size=16, max_size=42),
    st.sampled_from(["{}", " {}\n", "v1.{}", "v1.first.{}.{}"]),
)
def test_a_word_that_is_too_short_to_be_sealed_is_taken_for_a_key(key: str, form: str) -> None:
    text = form.format(key, key)

    assert not looks_sealed(text)
    assert exposes_key(text)


@given(
    st.text(string.ascii_letters + string.digits, min_size=32, max_size=200),
    st.text(max_size=100),
    st.text(max_size=100),
)
def test_a_key_with_xais_prefix_is_recognised_wherever_it_is(key: str, before: str, behind: str) -> None:
    text = f"{before}xai-{key}{behind}"

    assert holds_xai_key(text)
    assert exposes_key(text)
    assert not looks_sealed(text)


@pytest.mark.parametrize("part", [2, 3])
def test_a_key_in_place_of_a_part_of_the_sealed_text_is_recognised(part: int) -> None:
    parts = sealed("obviously-fake").split(".")
    parts[part] = f"xai-{'o' * 39}"

    assert not looks_sealed(".".join(parts))
    assert exposes_key(".".join(parts))


@pytest.mark.parametrize("text", ["", " ", "v1.x.x.x", "a sentence about the key", "é" * 20, "ключ"])
def test_what_cannot_be_a_key_is_not_taken_for_one(text: str) -> None:
    assert not looks_sealed(text)
    assert not exposes_key(text)
