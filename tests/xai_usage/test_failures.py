from datetime import UTC, datetime

import pytest
from contract.problems import Code
from hypothesis import given
from hypothesis import strategies as st
from xai_usage import CallFailed, CallMalformed, CallRefused, CallTransient
from xai_usage.failures import failure_of, seconds_to_wait

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
SIX_HOURS = 6 * 3600.0


OWN = b'{"code": 7, "message": "no", "details": []}'


@pytest.mark.parametrize(
    ("status", "failure", "code"),
    [
        (400, CallMalformed, Code.REQUEST_REFUSED),
        (401, CallRefused, Code.KEY_REFUSED),
        (403, CallRefused, Code.ACCESS_DENIED),
        (404, CallRefused, Code.TEAM_UNKNOWN),
        (429, CallTransient, Code.RATE_LIMITED),
        *((status, CallTransient, Code.XAI_UNAVAILABLE) for status in (301, 302, 307, 408, 425, 500, 502, 503, 529)),
        *((status, CallTransient, Code.ANSWER_UNREADABLE) for status in (201, 204, 206, 402, 405, 410, 418)),
    ],
)
def test_every_status_has_its_failure(status: int, failure: type[CallFailed], code: Code) -> None:
    found = failure_of(status, None, NOW, OWN)
    assert (type(found), found.code, found.retry_after) == (failure, code, None)


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize(
    "body", [b'{"code": 16}', b'{"error": "no"}', b'{"message": null}', b'{"error": {"message": "no"}}']
)
def test_a_refusal_is_an_object_with_a_code_an_error_or_a_message(status: int, body: bytes) -> None:
    assert isinstance(failure_of(status, None, NOW, body), CallRefused)


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{}",
            b"[]",
            b"null",
            b'"code"',
            b"403",
            b'["code"]',
            b'{"detail": "no"}',
            b'{"code": 16',
            b"\xff",
            b"[" * 9000,
        ),
        b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>",
    ],
)
def test_a_refusal_on_the_way_proves_nothing_about_key_or_team(status: int, body: bytes) -> None:
    found = failure_of(status, "30", NOW, body)
    assert (type(found), found.code, found.retry_after) == (CallTransient, Code.XAI_UNAVAILABLE, 30.0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": "Client specified an invalid argument", "error": "Incorrect API key provided: fa***ke."}',
        b'{"message": "Invalid credentials"}',
        b'{"code": 3, "message": "invalid api_key"}',
        b'{"code": "unauthenticated"}',
        b'{"error": {"message": "Authentication failed"}}',
    ],
)
def test_a_400_about_the_key_refuses_the_key(body: bytes) -> None:
    found = failure_of(400, None, NOW, body)
    assert (type(found), found.code) == (CallRefused, Code.KEY_REFUSED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Incorrect API key</html>",
        b'{"message": "Invalid uuid"}',
        b'{"detail": "key"}',
        b'{"error": "monkeys"}',
    ],
)
def test_any_other_400_refuses_the_request(body: bytes) -> None:
    found = failure_of(400, None, NOW, body)
    assert (type(found), found.code) == (CallMalformed, Code.REQUEST_REFUSED)


@given(st.integers(201, 599), st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_body_of_a_refusal_raises_or_is_repeated(status: int, body: bytes) -> None:
    assert str(failure_of(status, None, NOW, body)) in {code.value for code in Code}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        (" 17 ", 17.0),
        ("999999999", SIX_HOURS),
        ("Mon, 23 Nov 2026 06:01:30 GMT", 90.0),
        ("Mon, 23 Nov 2026 06:01:30 -0000", 90.0),
        ("Mon, 23 Nov 2026 08:01:30 +0200", 90.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", SIX_HOURS),
        ("Mon, 23 Nov 2026 05:59:59 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("1, 2", None),
        ("9" * 400, None),
        ("\u0661", None),
        (None, None),
    ],
)
def test_retry_after_is_obeyed_within_six_hours_and_nonsense_is_ignored(
    header: str | None, seconds: float | None
) -> None:
    assert seconds_to_wait(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_raises(header: str) -> None:
    seconds = seconds_to_wait(header, NOW)
    assert seconds is None or 0 <= seconds <= SIX_HOURS


@pytest.mark.parametrize("status", [429, 500, 503, 307, 418])
def test_a_transient_failure_carries_how_long_to_wait(status: int) -> None:
    assert failure_of(status, "30", NOW).retry_after == 30.0
