"""A key sealed into a command opens for that command only, and only where the sealing key still is."""

import json
import traceback
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from common.crypto.envelopes import OpensCommands, UnsealableError
from common.crypto.key_files import KeyFileError, change_keys, create_keys
from common.crypto.sealed_commands import SUITE, SealingKey, decoded, encoded, seal
from connector.commands.opening import SealedCommandOpener
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

SECRET = "obviously-a-fake-key"  # noqa: S105 - it opens nothing
PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
RECIPIENT = SealingKey("first", PRIVATE.public_key().public_bytes_raw())
ACCOUNT, COMMAND = "account-1", "command-1"
SEALED = "v1.first.G969fwOysgfaS1FXNGx_kUIPO6Ekrc59dpJlJuzeDCw.I2z0DbQ2BKfpTz2il92ZDtg48NaMAHNdHdSTFU9ND2kvUuUW"
BY_TYPESCRIPT = "v1.first.EvlVmr6u43VVmr3s5s-KeQGZ-b5YUK0YbmF_znKIFD0._EZwKKlXB0mnUbJxoep65aj8Xvg-LMbmKXLEPIL7sCJ5oFp_"
VERSION, KEY_ID, ENCAPSULATED, CIPHERTEXT = SEALED.split(".")

NAMES = st.text("ab1.-_", min_size=1, max_size=4)
COMMANDS = st.tuples(NAMES, NAMES, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4))


def written(path: Path, **keys: bytes) -> Path:
    """A file of sealing keys, the last one current."""
    path.touch(mode=0o600)
    path.write_text(
        json.dumps({"current": [*keys][-1], "keys": {i: b64encode(key).decode() for i, key in keys.items()}})
    )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealing-keys")
    written(folder / "keys", first=bytes(range(32)))
    return folder


@pytest.fixture(scope="module")
def opener(folder: Path) -> SealedCommandOpener:
    return SealedCommandOpener(folder / "keys", "test")


def info_of(*parts: str) -> bytes:
    """The `info` of docs/commands.md, implemented a second time."""
    texts = [part.encode() for part in ("grafient.sealed-command.v1", *parts)]
    return b"".join(len(text).to_bytes(4, "big") + text for text in texts)


def refused(opener: OpensCommands, sealed: str, account_id: str = ACCOUNT, command_id: str = COMMAND) -> bool:
    """Whether the error has no text and no cause, and no key wherever it is shown."""
    with pytest.raises(UnsealableError) as caught:
        opener.open(sealed, account_id=account_id, command_id=command_id)
    shown = "".join(traceback.format_exception(caught.value))
    return not str(caught.value) and caught.value.__context__ is None and SECRET not in shown


def test_the_suite_gives_the_known_answer_of_rfc_9180() -> None:
    # base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: of the vectors published with the RFC
    recipient = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d"
    info = "4f6465206f6e2061204772656369616e2055726e"
    encapsulated = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
    key = "f50b0609186798729ed0564b36ef2ef8044f1f9d05636874d1f46c819c7a669f"
    nonce = "151d9929e2449747889bc923"
    text = "4265617574792069732074727574682c20747275746820626561757479"
    associated = "436f756e742d30"
    expected = "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"
    cipher = AESGCM(bytes.fromhex(key))
    assert cipher.encrypt(bytes.fromhex(nonce), bytes.fromhex(text), bytes.fromhex(associated)).hex() == expected

    sealed = cipher.encrypt(bytes.fromhex(nonce), bytes.fromhex(text), b"")  # as the vector's, without associated data
    private_key = X25519PrivateKey.from_private_bytes(bytes.fromhex(recipient))
    opened = SUITE.decrypt(bytes.fromhex(encapsulated) + sealed, private_key, info=bytes.fromhex(info))

    assert opened.hex() == text


@pytest.mark.parametrize("sealed", [SEALED, BY_TYPESCRIPT], ids=["this library", "@hpke/core"])
def test_a_command_that_was_ever_sealed_opens_for_ever(opener: SealedCommandOpener, sealed: str) -> None:
    assert opener.open(sealed, account_id=ACCOUNT, command_id=COMMAND) == SECRET


@given(st.text(max_size=600), COMMANDS)
def test_what_was_sealed_for_a_command_opens_for_it(folder: Path, secret: str, command: tuple[str, str, str]) -> None:
    environment, account_id, command_id = command
    opener = SealedCommandOpener(folder / "keys", environment)
    sealed = seal(secret, opener.recipient(), environment=environment, account_id=account_id, command_id=command_id)
    assert opener.open(sealed, account_id=account_id, command_id=command_id) == secret


@given(COMMANDS, COMMANDS)
def test_what_was_sealed_for_one_command_opens_for_no_other(
    folder: Path, home: tuple[str, str, str], elsewhere: tuple[str, str, str]
) -> None:
    sealed = seal(SECRET, RECIPIENT, environment=home[0], account_id=home[1], command_id=home[2])
    opener = SealedCommandOpener(folder / "keys", elsewhere[0])
    assert home == elsewhere or refused(opener, sealed, *elsewhere[1:])


def test_a_sealed_key_opens_for_no_other_account_command_or_environment(
    folder: Path, opener: SealedCommandOpener
) -> None:
    assert refused(opener, SEALED, account_id="account-2")
    assert refused(opener, SEALED, command_id="command-2")
    assert refused(SealedCommandOpener(folder / "keys", "production"), SEALED)


def test_what_separates_account_and_command_cannot_be_moved(opener: SealedCommandOpener) -> None:
    sealed = seal(SECRET, RECIPIENT, environment="test", account_id="a", command_id="bc")
    assert refused(opener, sealed, account_id="ab", command_id="c")


def test_sealing_twice_shares_nothing() -> None:
    again = seal(SECRET, RECIPIENT, environment="test", account_id=ACCOUNT, command_id=COMMAND)
    assert again.split(".")[2] != ENCAPSULATED
    assert again.split(".")[3] != CIPHERTEXT


def test_the_sealed_text_shows_nothing_of_the_key() -> None:
    assert (VERSION, KEY_ID) == ("v1", "first")
    assert SECRET not in SEALED
    assert SECRET.encode() not in decoded(ENCAPSULATED) + decoded(CIPHERTEXT)


def test_a_sealed_key_with_any_bit_flipped_does_not_open(opener: SealedCommandOpener) -> None:
    parts = [decoded(ENCAPSULATED), decoded(CIPHERTEXT)]
    for part, data in enumerate(parts):
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            texts = [encoded(bytes(flipped)) if part == other else encoded(parts[other]) for other in range(2)]
            assert refused(opener, f"v1.first.{'.'.join(texts)}"), (part, bit)


@given(st.data())
def test_a_sealed_key_with_any_character_changed_does_not_open(
    opener: SealedCommandOpener, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(SEALED) - 1))
    other = data.draw(st.characters().filter(lambda character: character != SEALED[index]))
    assert refused(opener, SEALED[:index] + other + SEALED[index + 1 :])


@given(st.integers(0, len(SEALED) - 1))
def test_a_sealed_key_that_was_cut_does_not_open(opener: SealedCommandOpener, length: int) -> None:
    assert refused(opener, SEALED[:length])
    assert refused(opener, SEALED[-length or len(SEALED) :])


@given(st.text(max_size=200))
def test_what_was_never_sealed_does_not_open(opener: SealedCommandOpener, text: str) -> None:
    assert refused(opener, text)
    assert refused(opener, f"v1.first.{text}")


@pytest.mark.parametrize(
    "sealed",
    [
        SECRET,
        SEALED + "A",
        SEALED + "=",
        SEALED + ".",
        SEALED + "\n",
        " " + SEALED,
        SEALED.replace("v1", "v2", 1),
        SEALED.replace("v1", "V1", 1),
        SEALED.replace("first", "second", 1),
        SEALED.replace("first", "", 1),
        SEALED.replace("first", "first.x", 1),
        f"v1.first.{ENCAPSULATED}=.{CIPHERTEXT}",
        f"v1.first.{ENCAPSULATED}.",
        f"v1.first.{CIPHERTEXT}.{ENCAPSULATED}",
        f"v1.first.{encoded(bytes(32))}.{CIPHERTEXT}",
        f"v1.first.{encoded(bytes([1] + 31 * [0]))}.{CIPHERTEXT}",
        f"v1.first.{ENCAPSULATED}{CIPHERTEXT}",
    ],
)
def test_what_is_not_spelt_as_it_was_sealed_does_not_open(opener: SealedCommandOpener, sealed: str) -> None:
    assert refused(opener, sealed)


def test_each_sealed_key_has_one_spelling(opener: SealedCommandOpener) -> None:
    text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    assert decoded(text) == bytes(32)
    for last in "BCD":  # bits beyond the last byte
        with pytest.raises(ValueError, match="base64url"):
            decoded(text[:-1] + last)
    assert refused(opener, SEALED.replace("-", "+").replace("_", "/") + "=")


def test_bytes_that_are_no_text_do_not_open(opener: SealedCommandOpener) -> None:
    sealed = SUITE.encrypt(SECRET.encode() + b"\xff", PRIVATE.public_key(), info=info_of("test", ACCOUNT, COMMAND))
    assert refused(opener, f"v1.first.{encoded(sealed[:32])}.{encoded(sealed[32:])}")


@pytest.mark.parametrize("secret", ["key\ud800", "\udfff"])
def test_a_key_that_is_no_text_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="not valid Unicode") as caught:
        seal(secret, RECIPIENT, environment="test", account_id=ACCOUNT, command_id=COMMAND)
    assert "key\\ud800" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", [0, 31, 32, 33])
def test_nothing_is_sealed_to_what_is_no_public_key(size: int) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        seal(SECRET, SealingKey("first", bytes(size)), environment="test", account_id=ACCOUNT, command_id=COMMAND)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# The file of sealing keys


def sealed_to(opener: SealedCommandOpener) -> str:
    return seal(SECRET, opener.recipient(), environment="test", account_id=ACCOUNT, command_id=COMMAND)


def opened(opener: SealedCommandOpener, sealed: str) -> bool:
    return opener.open(sealed, account_id=ACCOUNT, command_id=COMMAND) == SECRET


def test_programs_seal_to_the_current_key_and_the_former_one_opens_until_it_is_dropped(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys", "old")
    now = [0.0]
    opener = SealedCommandOpener(tmp_path / "keys", "test", clock=lambda: now[0])
    by_old = sealed_to(opener)

    change_keys(tmp_path / "keys", lambda keys: keys.with_new("new").using("new"))
    now[0] += 1
    by_new = sealed_to(opener)

    assert (by_old.split(".")[1], by_new.split(".")[1]) == ("old", "new")
    assert opened(opener, by_old)
    assert opened(opener, by_new)

    change_keys(tmp_path / "keys", lambda keys: keys.without("old"))
    now[0] += 1

    assert opened(opener, by_new)
    assert refused(opener, by_old)


def test_a_key_that_another_process_hands_out_already_opens_at_once(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys", "old")
    slow = SealedCommandOpener(tmp_path / "keys", "test", clock=lambda: 0.0)  # it does not look by itself
    change_keys(tmp_path / "keys", lambda keys: keys.with_new("new").using("new"))

    assert opened(slow, sealed_to(SealedCommandOpener(tmp_path / "keys", "test")))


def test_an_id_given_to_another_key_opens_nothing_of_the_former(tmp_path: Path) -> None:
    first = SealedCommandOpener(written(tmp_path / "one", first=bytes(range(32))), "test")
    other = SealedCommandOpener(written(tmp_path / "two", first=bytes(reversed(range(32)))), "test")

    assert opened(first, SEALED)
    assert refused(other, SEALED)


def test_sealing_keys_that_others_can_read_stop_the_start(tmp_path: Path) -> None:
    path = written(tmp_path / "keys", first=bytes(range(32)))
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="accessible to others") as caught:
        SealedCommandOpener(path, "test")
    assert b64encode(bytes(range(32))).decode() not in str(caught.value)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_sealing_key_of_the_wrong_size_stops_the_start_by_its_id(tmp_path: Path, size: int) -> None:
    with pytest.raises(KeyFileError, match="key bad does not have 32 bytes"):
        SealedCommandOpener(written(tmp_path / "keys", bad=bytes(size)), "test")


def test_a_missing_file_of_sealing_keys_stops_the_start_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="none cannot be read"):
        SealedCommandOpener(tmp_path / "none", "test")


def test_an_opener_does_not_show_its_keys(opener: SealedCommandOpener) -> None:
    forms: tuple[Callable[[object], str], ...] = (repr, str, lambda one: repr(vars(one)))
    assert all(repr(bytes(range(32))) not in form(opener) for form in forms)


@pytest.mark.parametrize("answer", [{}, {"key_id": "a"}, {"key_id": "a", "public_key": "no base64!"}])
def test_an_answer_that_is_no_sealing_key_is_refused(answer: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        SealingKey.of(answer)
