import time
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from common import redaction
from common.redaction import MAX_TEXT, REDACTED, is_secret_name, redacted, redacted_text
from hypothesis import given
from hypothesis import strategies as st

FAKE = "obviously-fake-1234567890"


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "keys",
        "management_key",
        "managementKey",
        "api-key",
        "apiKey",
        "apikey",
        "X-Api-Key",
        "sealed_key",
        "token",
        "access_token",
        "Authorization",
        "authorization_header",
        "password",
        "kafka_password",
        "KAFKA_PASSWORD",
        "secret",
        "envelope",
        "credential",
        "credentials",
        "Set-Cookie",
        "wrapped_key_b64",
        "private_key",
    ],
)
def test_a_field_named_like_a_secret_is_redacted(name: str) -> None:
    assert is_secret_name(name)
    assert redacted({name: FAKE, "nested": [{name: {"any": FAKE}}]}) == {name: REDACTED, "nested": [{name: REDACTED}]}


@pytest.mark.parametrize(
    "name",
    [
        "key_id",
        "team_id",
        "account_id",
        "credential_version",
        "keyring_file",
        "token_id",
        "public_key",
        "event",
        "label",
        "envelope_format",
        "secrets_dir",
    ],
)
def test_a_field_that_only_names_a_secret_is_shown(name: str) -> None:
    assert redacted({name: "shown"}) == {name: "shown"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Authorization: Bearer {FAKE}", f"Authorization: Bearer {REDACTED}"),
        (f"{{'authorization': 'bearer {FAKE}'}}", f"{{'authorization': 'bearer {REDACTED}'}}"),
        (f"sent xai-{FAKE}, refused", f"sent {REDACTED}, refused"),
        (f"postgresql+psycopg://user:{FAKE}@db:5432/x", f"postgresql+psycopg://user:{REDACTED}@db:5432/x"),
        (f"https://:{FAKE}@host", f"https://:{REDACTED}@host"),
        (f"postgres://user:p/a@{FAKE}@db/x", f"postgres://user:{REDACTED}@db/x"),
        (f"host=db password={FAKE} user=x", f"host=db password={REDACTED} user=x"),
        (f'{{"management_key": "{FAKE}", "team_id": "t"}}', f'{{"management_key": "{REDACTED}", "team_id": "t"}}'),
        ("https://host:8080/path", "https://host:8080/path"),
        ("postgresql://user@db:5432/x", "postgresql://user@db:5432/x"),
        ("xai.costs.v1", "xai.costs.v1"),
        ("a basic rule", "a basic rule"),
    ],
)
def test_a_text_that_looks_like_a_secret_is_redacted(text: str, expected: str) -> None:
    assert redacted_text(text) == expected
    assert redacted({"event": [text]}) == {"event": [expected]}
    assert redacted(text.encode()) == expected


def test_figures_and_ids_are_shown_as_they_are() -> None:
    found = redacted(
        {"n": 1, "ok": True, "none": None, "usd": Decimal("0.10"), "day": date(2026, 11, 1), "id": UUID(int=7)}
    )
    assert found == {"n": 1, "ok": True, "none": None, "usd": "0.10", "day": "2026-11-01", "id": str(UUID(int=7))}


def test_an_object_is_redacted_by_its_text() -> None:
    class Response:
        def __repr__(self) -> str:
            return f"<Bearer {FAKE}>"

    assert FAKE not in str(redacted({"response": Response(), "also": (Response(),), Response(): 1}))


def test_what_holds_itself_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "..." in str(redacted(endless))


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    found = redacted_text("begin" + "x" * 100_000 + "end")
    assert found.startswith("begin")
    assert found.endswith("end")
    assert len(found) < MAX_TEXT + 100


@pytest.mark.parametrize("hostile", ["://a:b", "xai-", "bearer ", "password=", "a", ":", "://:"])
def test_no_text_takes_long(hostile: str) -> None:
    before = time.process_time()
    redacted_text(hostile * (200_000 // len(hostile)))
    assert time.process_time() - before < 5


@given(
    st.text("abcXYZ0189_-", min_size=8, max_size=80),
    st.sampled_from(["Bearer {}", "xai-{}", "amqp://u:{}@h", "token={}"]),
)
def test_no_character_of_a_secret_is_left(secret: str, shape: str) -> None:
    assert secret not in redacted_text(f"before {shape.format(secret)} after").replace(REDACTED, "")


FRAGMENTS = ["bearer ", "BASIC ", "xai-", "Grafient_", "grafient_", "://", "management_key", "api_KEY", "sealed_key"]
FRAGMENTS += [
    "wrapped_key",
    "ciphertext",
    "Password",
    "passwd",
    "secret",
    "token",
    "=",
    ": ",
    "@",
    "\u017f",
    "\u212a",
    "a" * 20,
]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join))
def test_a_text_without_a_mark_is_none_that_a_pattern_finds(text: str) -> None:
    expected = text
    for pattern, replacement in redaction._SECRET_TEXTS:  # noqa: SLF001 - the rule itself
        expected = pattern.sub(replacement, expected)

    assert redacted_text(text) == expected
