import traceback
from base64 import b64decode, b64encode
from dataclasses import replace
from uuid import UUID

import pytest
from common.crypto.envelopes import Binding, Opens, Seals, UnsealableError
from common.crypto.keyring import Keyring, Wraps
from common.crypto.sealing import Opener, Rewrapper, Sealer
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

SECRET = "obviously-a-fake-key"  # noqa: S105 - it opens nothing
KEYS = {"first": bytes(range(32)), "second": bytes(reversed(range(32)))}
FIRST, SECOND = Keyring("first", KEYS), Keyring("second", KEYS)
PLACE = Binding("account-1", UUID("3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"), 1)
SEALED = Sealer(FIRST, "test").seal(SECRET, PLACE)
BINARY = ("wrapped_key", "nonce", "ciphertext")

SEALS: Seals = Sealer(FIRST, "test")
OPENS: Opens = Opener(FIRST, "test")

PLACES = st.builds(
    Binding,
    st.text("ab1.-_", min_size=1, max_size=4),
    st.uuids(version=4),
    st.integers(1, 3),
)


def refused(
    envelope: dict[str, str], place: Binding = PLACE, environment: str = "test", keyring: Wraps = FIRST
) -> bool:
    with pytest.raises(UnsealableError) as opened:
        Opener(keyring, environment).open(envelope, place)
    with pytest.raises(UnsealableError):
        Rewrapper(keyring, environment).rewrap(envelope, place)
    return SECRET not in "".join(traceback.format_exception(opened.value)) and not str(opened.value)


def with_bit_flipped(envelope: dict[str, str], field: str, bit: int) -> dict[str, str]:
    data = bytearray(b64decode(envelope[field]))
    data[bit // 8] ^= 1 << bit % 8
    return {**envelope, field: b64encode(data).decode()}


@pytest.mark.parametrize(
    ("key", "nonce", "text", "associated", "expected"),
    [
        ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
        (
            "feffe9928665731c6d6a8f9467308308" * 2,
            "cafebabefacedbaddecaf888",
            (
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
            ),
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            (
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
            ),
        ),
    ],
)
def test_the_cipher_gives_the_known_answers(key: str, nonce: str, text: str, associated: str, expected: str) -> None:
    cipher = AESGCM(bytes.fromhex(key))
    sealed = cipher.encrypt(bytes.fromhex(nonce), bytes.fromhex(text), bytes.fromhex(associated))
    assert sealed.hex() == expected


def test_an_envelope_that_was_ever_sealed_opens_for_ever() -> None:
    sealed = {
        "format": "grafient.sealed.v1",
        "key_id": "first",
        "wrapped_key": "AAECAwQFBgcICQoLZyP0OOHA5DylaL2gncRWQrPntQfETmlLAF7fviFUPo2dHb2ywAtTTlwwB+nT35Po",
        "nonce": "DA0ODxAREhMUFRYX",
        "ciphertext": "jVg4XFtIc9OneIXZlLSIooP9Ts4Q81vXjmrZ2dz45Rnsftt1",
    }
    assert Opener(FIRST, "test").open(sealed, PLACE) == SECRET


@given(st.text(max_size=600), PLACES)
def test_what_was_sealed_for_a_place_opens_there(secret: str, place: Binding) -> None:
    assert OPENS.open(SEALS.seal(secret, place), place) == secret


def test_an_envelope_is_text_that_names_its_format_and_key_and_shows_nothing_of_the_credential() -> None:
    assert (SEALED["format"], SEALED["key_id"]) == ("grafient.sealed.v1", "first")
    assert all(
        SECRET not in value and SECRET.encode() not in b64decode(value if name in BINARY else "")
        for name, value in SEALED.items()
    )


def test_sealing_twice_shares_no_data_key_and_no_nonce() -> None:
    again = SEALS.seal(SECRET, PLACE)
    assert all(again[name] != SEALED[name] for name in BINARY)


@pytest.mark.parametrize("field", BINARY)
def test_an_envelope_with_any_bit_flipped_does_not_open(field: str) -> None:
    for bit in range(8 * len(b64decode(SEALED[field]))):
        flipped = with_bit_flipped(SEALED, field, bit)
        with pytest.raises(UnsealableError):
            OPENS.open(flipped, PLACE)


@pytest.mark.parametrize("field", sorted(SEALED))
def test_an_envelope_with_any_bit_of_its_text_flipped_does_not_open(field: str) -> None:
    text = SEALED[field].encode()
    for bit in range(8 * len(text)):
        flipped = bytearray(text)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UnsealableError):
            OPENS.open({**SEALED, field: flipped.decode("latin-1")}, PLACE)


@given(st.sampled_from(sorted(SEALED)), st.data())
def test_an_envelope_with_any_character_changed_does_not_open(field: str, data: st.DataObject) -> None:
    text = SEALED[field]
    index = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda character: character != text[index]))
    with pytest.raises(UnsealableError):
        OPENS.open({**SEALED, field: text[:index] + other + text[index + 1 :]}, PLACE)


@given(PLACES, PLACES)
def test_an_envelope_moved_to_another_row_does_not_open(home: Binding, elsewhere: Binding) -> None:
    sealed = SEALS.seal(SECRET, home)
    assert home == elsewhere or refused(sealed, elsewhere)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, account_id="account-2"),
        replace(PLACE, integration_id=UUID("3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e60")),
        replace(PLACE, credential_version=2),
    ],
)
def test_rows_swapped_between_accounts_integrations_and_versions_do_not_open(elsewhere: Binding) -> None:
    assert refused(SEALED, elsewhere)
    assert refused(SEALS.seal(SECRET, elsewhere), PLACE)


def test_each_envelope_has_one_spelling() -> None:
    sealed = SEALS.seal("a-fake-key-of-22-bytes", PLACE)
    assert sealed["ciphertext"].endswith("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(sealed["ciphertext"].rstrip("=")[-1])
    text = sealed["ciphertext"].rstrip("=")[:-1] + alphabet[last + 1] + sealed["ciphertext"].count("=") * "="
    assert b64decode(text) == b64decode(sealed["ciphertext"])
    with pytest.raises(UnsealableError):
        OPENS.open({**sealed, "ciphertext": text}, PLACE)


@given(st.lists(st.text("ab", min_size=1, max_size=8), min_size=2, max_size=5))
def test_a_version_put_back_opens_as_its_own_version_only(credentials: list[str]) -> None:
    versions = [replace(PLACE, credential_version=number) for number, _ in enumerate(credentials, start=1)]
    history = [SEALS.seal(secret, version) for secret, version in zip(credentials, versions, strict=True)]
    for sealed, own in zip(history, versions, strict=True):
        assert OPENS.open(sealed, own) == credentials[own.credential_version - 1]
        assert all(refused(sealed, other) for other in versions if other != own)


def test_an_envelope_from_before_a_rewrap_opens_only_while_its_key_is_there() -> None:
    moved = Rewrapper(SECOND, "test").rewrap(SEALED, PLACE)
    only_second = Keyring("second", {"second": KEYS["second"]})
    assert Opener(SECOND, "test").open(SEALED, PLACE) == SECRET
    assert Opener(only_second, "test").open(moved, PLACE) == SECRET
    assert refused(SEALED, keyring=only_second)


def test_the_data_key_of_another_row_does_not_help() -> None:
    other = SEALS.seal(SECRET, replace(PLACE, account_id="account-2"))
    wrapped = {name: other[name] for name in ("key_id", "wrapped_key")}
    assert refused({**SEALED, **wrapped})
    with pytest.raises(UnsealableError):
        OPENS.open({**SEALED, **wrapped}, replace(PLACE, account_id="account-2"))


def test_parts_of_two_envelopes_do_not_make_a_third() -> None:
    other = SEALS.seal("another-fake-key", PLACE)
    for field in BINARY:
        with pytest.raises(UnsealableError):
            OPENS.open({**SEALED, field: other[field]}, PLACE)


def test_an_envelope_of_another_environment_does_not_open() -> None:
    assert refused(SEALED, environment="production")


def test_what_separates_the_parts_of_a_place_cannot_be_moved() -> None:
    assert refused(
        Sealer(FIRST, "a").seal(SECRET, replace(PLACE, account_id="bc")), replace(PLACE, account_id="c"), "ab"
    )


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {**SEALED, "format": "grafient.sealed.v2"},
        {**SEALED, "key_id": "second"},
        {**SEALED, "key_id": "unknown"},
        {**SEALED, "more": ""},
        {name: value for name, value in SEALED.items() if name != "nonce"},
        {**SEALED, "wrapped_key": ""},
        {**SEALED, "wrapped_key": "AAAA"},
        {**SEALED, "wrapped_key": "not base64"},
    ],
)
def test_what_is_no_envelope_of_ours_does_not_open(envelope: dict[str, str]) -> None:
    assert refused(envelope)


def test_an_envelope_under_a_dropped_key_does_not_open() -> None:
    assert refused(SEALED, keyring=Keyring("second", {"second": KEYS["second"]}))


def test_rewrapping_moves_to_the_current_key_and_leaves_the_ciphertext() -> None:
    moved = Rewrapper(SECOND, "test").rewrap(SEALED, PLACE)
    assert moved["key_id"] == "second"
    assert (moved["nonce"], moved["ciphertext"]) == (SEALED["nonce"], SEALED["ciphertext"])
    only_second = Keyring("second", {"second": KEYS["second"]})
    assert Opener(only_second, "test").open(moved, PLACE) == SECRET
