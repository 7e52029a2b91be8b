"""A link opens an account once, within 15 minutes, for whoever has the secret."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from console.links import (
    LONGEST,
    SKEW,
    LinkRefusedError,
    LinkSecretsError,
    Refusal,
    Right,
    check,
    load_secrets,
    new_link,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.console.support.browsing import SECRET, parameters_of

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OTHER = "obviously-fake-secret-of-a-test-0002"
SECRETS = (SECRET.encode(),)
SECOND = timedelta(seconds=1)


def refusal(parameters: dict[str, str], now: datetime = NOW) -> Refusal:
    with pytest.raises(LinkRefusedError) as refused:
        check(parameters, SECRETS, now)
    return refused.value.reason


@pytest.mark.parametrize("right", Right)
def test_a_link_names_who_may_do_what(right: Right) -> None:
    link = check(parameters_of(new_link("acme", right, NOW + LONGEST)), SECRETS, NOW)
    assert (link.account_id, link.right, link.expires_at) == ("acme", right, NOW + LONGEST)


def test_the_signature_is_the_documented_one() -> None:
    """As in docs/console.md: another language has to come to the same."""
    link = new_link("acme", Right.VIEW, NOW)
    assert link.text == f"grafient.console.link.v1\nacme\nview\n{int(NOW.timestamp())}\n{link.nonce}".encode()


@pytest.mark.parametrize("name", ["account", "right", "expires", "nonce", "signature"])
def test_a_link_that_was_changed_opens_nothing(name: str) -> None:
    parameters = parameters_of(new_link("acme", Right.VIEW, NOW + LONGEST))
    other = parameters_of(new_link("other", Right.MANAGE, NOW + LONGEST - SECOND), OTHER)
    assert refusal(parameters | {name: other[name]}) is Refusal.FORGED
    assert refusal({key: value for key, value in parameters.items() if key != name}) is Refusal.FORGED


@given(st.dictionaries(st.sampled_from(["account", "right", "expires", "nonce", "signature"]), st.text(max_size=20)))
def test_whatever_is_sent_it_is_refused_and_never_fails(parameters: dict[str, str]) -> None:
    assert refusal(parameters_of(new_link("acme", Right.VIEW, NOW), OTHER) | parameters) is Refusal.FORGED


def test_an_account_cannot_reach_into_the_next_line_of_the_text() -> None:
    parameters = parameters_of(new_link("acme\nmanage", Right.VIEW, NOW + LONGEST))
    assert refusal(parameters) is Refusal.FORGED


def test_a_clock_may_be_a_minute_off_and_no_more() -> None:
    parameters = parameters_of(new_link("acme", Right.VIEW, NOW))
    assert check(parameters, SECRETS, NOW + SKEW).account_id == "acme"
    assert refusal(parameters, NOW + SKEW + SECOND) is Refusal.EXPIRED
    assert check(parameters, SECRETS, NOW - LONGEST - SKEW).account_id == "acme"
    assert refusal(parameters, NOW - LONGEST - SKEW - SECOND) is Refusal.TOO_LONG


def test_while_secrets_are_exchanged_both_are_valid() -> None:
    parameters = parameters_of(new_link("acme", Right.VIEW, NOW))
    assert check(parameters, (OTHER.encode(), SECRET.encode()), NOW).account_id == "acme"


def test_the_file_of_secrets_has_one_a_line_and_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "links"
    file.touch(mode=0o600)
    file.write_text(f"{OTHER}\n{SECRET}\n")
    assert load_secrets(file) == (OTHER.encode(), SECRET.encode())
    file.chmod(0o644)
    with pytest.raises(LinkSecretsError, match="chmod o-rwx"):
        load_secrets(file)


@pytest.mark.parametrize("content", ["", "short", f"{SECRET}\n{OTHER}\n{SECRET}"])
def test_a_file_without_usable_secrets_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "links"
    file.touch(mode=0o600)
    file.write_text(content)
    with pytest.raises(LinkSecretsError, match="one or two lines") as refused:
        load_secrets(file)
    assert not content or content not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LinkSecretsError, match="No such file"):
        load_secrets(tmp_path / "links")
