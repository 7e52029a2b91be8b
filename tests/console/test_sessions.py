"""A session is a signed cookie: nobody else can write one, and it ends after 8 hours."""

from datetime import timedelta

import pytest
from console import sessions
from console.links import Right
from console.sessions import COOKIE, FORM_FIELD, Session, Sessions
from fastapi import Response

from tests.console.support.browsing import SECRET, Customer, a_link

OLD, NEW = SECRET.encode(), b"obviously-fake-secret-of-a-test-0002"


def cookie(secrets: tuple[bytes, ...], right: Right = Right.VIEW, *, secure: bool = False) -> str:
    answer = Response()
    Sessions(lambda: secrets, secure=secure).begin(a_link(right=right), answer)
    return answer.headers["set-cookie"]


def value(set_cookie: str) -> str:
    return set_cookie.split(";", maxsplit=1)[0].removeprefix(f"{COOKIE}=")


def read(text: str, *secrets: bytes) -> Session | None:
    return Sessions(lambda: secrets, secure=False).of_cookie(text)


def test_the_cookie_is_for_the_browser_only_and_over_tls_where_there_is_one() -> None:
    plain, secure = cookie((OLD,)), cookie((OLD,), secure=True)
    assert "HttpOnly" in plain
    assert "SameSite=lax" in plain
    assert "Max-Age=28800" in plain
    assert ("Secure" in plain, "Secure" in secure) == (False, True)


def test_a_session_survives_the_exchange_of_secrets_while_both_are_there() -> None:
    session = read(value(cookie((OLD,))), NEW, OLD)
    assert session is not None
    assert session.account_id == "acme"
    assert read(value(cookie((OLD,))), NEW) is None


def test_a_cookie_that_was_changed_is_none() -> None:
    good = value(cookie((OLD,)))
    account, signed_at, signature = good.split(".")
    assert read(f"{account}.{signed_at}.{signature[::-1]}", OLD) is None
    assert read(f"{account[:-2]}.{signed_at}.{signature}", OLD) is None
    assert read("", OLD) is None


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LIFETIME", timedelta(seconds=-1))
    assert read(value(cookie((OLD,))), OLD) is None


async def test_without_a_session_every_page_explains_how_to_open_one(customer: Customer) -> None:
    answer = await customer.get("/")
    assert answer.status_code == 401
    assert "Open your costs from your product" in answer.text


async def test_leaving_ends_the_session(customer: Customer) -> None:
    customer.open_session()
    answer = await customer.post("/leave")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert (await customer.get("/")).status_code == 401


def test_the_name_of_the_form_field_is_what_templates_use() -> None:
    assert FORM_FIELD == "form_token"
