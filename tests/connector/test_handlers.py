"""Outcomes of syncs set the card's health."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from contract.fields import Trigger
from contract.problems import UNKNOWN, Code

from tests.connector.support.connector import NOW, ConnectorHarness, first_day, last_day, path_of, team_of
from tests.connector.support.streams import StreamsHarness

RETRIED: dict[str, Any] = {"final": False, "next_attempt_at": NOW + timedelta(hours=2)}


async def test_the_card_is_active_once_the_backfill_is_read(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.completed(card)

    shown = await connector.card(card)
    assert (shown["status"], shown["backfill"]["days_read"]) == ("active", 30)
    assert shown["last_sync"]["usd"] == "12.5"


async def test_a_larger_plan_is_filled_in_before_the_card_is_active(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.add(team_id=team_of("another"), plan="pro")

    await connector.completed(card, hours=1)
    assert (await connector.health(card))[0] == "backfilling"

    await connector.completed(await connector.card(card), hours=2)
    assert (await connector.health(card))[0] == "active"


@pytest.mark.parametrize("code", [Code.KEY_REFUSED, Code.ACCESS_DENIED, Code.TEAM_UNKNOWN, Code.TEAM_MALFORMED])
async def test_a_final_failure_shows_on_the_card_with_the_next_step(connector: ConnectorHarness, code: Code) -> None:
    card = await connector.add()
    await connector.completed(card)

    await connector.failed(card, code, hours=1)

    assert await connector.health(card) == ("error", code.value)
    assert (await connector.card(card))["status_detail"]


@pytest.mark.parametrize(("code", "more"), [(Code.XAI_UNAVAILABLE, RETRIED), (Code.ANSWER_CUT, {})])
async def test_a_failure_that_is_retried_keeps_the_card_active(
    connector: ConnectorHarness, code: Code, more: dict[str, Any]
) -> None:
    card = await connector.add()
    await connector.completed(card)

    await connector.failed(card, code, hours=1, **more)

    assert await connector.health(card) == ("active", code.value)


async def test_a_later_success_clears_the_card(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.failed(card, Code.KEY_REFUSED, hours=1)

    await connector.completed(card, hours=2, trigger=Trigger.FORCE)

    assert await connector.health(card) == ("active", None)


async def test_an_older_outcome_that_arrives_late_does_not_change_the_card(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card, hours=2)
    await connector.failed(card, Code.KEY_REFUSED, hours=3)

    await connector.completed(card, hours=1)
    await connector.failed(card, Code.XAI_UNAVAILABLE, hours=1)

    assert (await connector.health(card))[1] == "key_refused"


async def test_a_late_copy_does_not_change_an_active_card(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    early: dict[str, Any] = {"first_day": first_day(card) + timedelta(days=1), "reading_id": uuid4()}
    await connector.completed(card, **early)
    await connector.completed(card, hours=24, first_day=last_day(card))
    assert (await connector.health(card))[0] == "active"

    await connector.completed(card, **early)

    assert (await connector.health(card))[0] == "active"


async def test_an_outcome_without_a_call_is_history_only(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)

    await connector.failed(card, Code.FRESH, observed_at=None, credential_version=None)

    assert (await connector.health(card))[1] is None
    syncs = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]
    assert [one["code"] for one in syncs] == ["fresh", None]


async def test_an_outcome_of_an_unknown_integration_or_another_account_is_ignored(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.failed(card, Code.NOT_FOUND, account_id=None, observed_at=None)
    await connector.failed(card, Code.KEY_REFUSED, account_id="other")

    assert await connector.sql("SELECT 1 FROM syncs") == []


async def test_a_card_names_the_days_of_which_xai_reports_less_and_stays_active(
    connector: ConnectorHarness, streams: StreamsHarness
) -> None:
    card = await connector.add()
    await connector.completed(card)
    first, last = last_day(card) - timedelta(days=2), last_day(card) - timedelta(days=1)

    await connector.completed(card, hours=1, questioned_days=(first, last))

    shown = await connector.card(card)
    text = "xAI reports less than before for 2 days: asking again"
    assert (shown["status"], shown["status_code"], shown["status_text"]) == ("active", None, text)
    assert shown["questioned_days"] == [str(first), str(last)]
    assert "the costs shown remain" in shown["status_detail"]
    (line, *_) = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]
    assert (line["questioned_days"], line["detail"], line["code"]) == ([str(first), str(last)], text, None)
    states = [one.data for one in await streams.read(0).until(5) if one.kind == "integration"]
    assert states[-1]["status_text"] == text


async def test_a_card_forgets_a_question_as_soon_as_the_day_is_believed(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    day = last_day(card) - timedelta(days=1)
    await connector.failed(card, Code.ANSWER_QUESTIONED, hours=1, first_day=day, last_day=day)
    shown = await connector.card(card)
    assert (shown["status"], shown["status_code"]) == ("active", None)
    assert shown["status_text"] == "xAI reports less than before for 1 day: asking again"

    await connector.completed(card, hours=2, first_day=day, last_day=day)
    await connector.failed(card, Code.ANSWER_QUESTIONED, hours=1, first_day=day, last_day=day)  # it arrives late

    shown = await connector.card(card)
    assert (shown["status_text"], shown["status_detail"], shown["questioned_days"]) == ("Active", None, [])


async def test_a_question_keeps_no_card_backfilling(connector: ConnectorHarness) -> None:
    card = await connector.add()

    await connector.completed(card, questioned_days=(first_day(card),))

    assert (await connector.health(card))[0] == "active"


async def test_a_questioned_answer_shows_that_xai_answers(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    await connector.failed(card, Code.XAI_UNAVAILABLE, hours=1, **RETRIED)

    await connector.failed(card, Code.ANSWER_QUESTIONED, hours=2)

    assert await connector.health(card) == ("active", None)


async def test_days_that_xai_refuses_and_nobody_read_are_expected_no_more(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    since = last_day(card) - timedelta(days=44)

    await connector.completed(card, first_day=since, beyond_xai_until=since - timedelta(days=1))

    shown = await connector.card(card)
    assert (shown["status"], shown["status_code"], shown["figures_since"]) == ("active", None, str(since))
    assert shown["history_from"] == shown["backfill"]["first_day"] == str(since)
    assert shown["status_text"] == f"Active, xAI has figures since {since}"
    assert shown["version"] > card["version"]


async def test_a_window_that_xai_refuses_whole_is_no_error_and_ends_the_backfill(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    since = last_day(card) - timedelta(days=59)
    await connector.completed(card, first_day=since)
    assert (await connector.health(card))[0] == "backfilling"

    refused: dict[str, Any] = {"first_day": first_day(card), "last_day": since - timedelta(days=1)}
    await connector.failed(card, Code.OUT_OF_RANGE, hours=1, **refused)

    shown = await connector.card(card)
    assert (shown["status"], shown["status_code"], shown["history_from"]) == ("active", None, str(since))


async def test_outcomes_of_refused_days_may_arrive_in_any_order(connector: ConnectorHarness) -> None:
    card = await connector.add(plan="pro")
    since = last_day(card) - timedelta(days=44)
    refused: dict[str, Any] = {"first_day": first_day(card), "last_day": first_day(card) + timedelta(days=29)}
    await connector.failed(card, Code.OUT_OF_RANGE, hours=2, **refused)

    await connector.completed(card, hours=1, first_day=since, beyond_xai_until=since - timedelta(days=1))

    shown = await connector.card(card)
    assert (shown["status"], shown["history_from"]) == ("active", str(since))


async def test_a_history_that_was_read_stays_although_xai_refuses_its_days_now(connector: ConnectorHarness) -> None:
    card = await connector.add()
    await connector.completed(card)
    since = last_day(card) - timedelta(days=9)

    await connector.completed(card, hours=1, first_day=since, beyond_xai_until=since - timedelta(days=1))

    shown = await connector.card(card)
    assert (shown["status"], shown["history_from"]) == ("active", str(first_day(card)))
    assert shown["figures_since"] == str(since)


async def test_xai_that_reports_older_days_again_has_them_since_then(connector: ConnectorHarness) -> None:
    card = await connector.add()
    since = last_day(card) - timedelta(days=9)
    await connector.completed(card, first_day=since, beyond_xai_until=since - timedelta(days=1))

    await connector.completed(card, hours=1, first_day=first_day(card))

    assert (await connector.card(card))["figures_since"] == str(first_day(card))


async def test_a_failure_that_a_later_version_names_is_shown_with_a_general_sentence(
    connector: ConnectorHarness,
) -> None:
    card = await connector.add()

    await connector.failed(card, Code("made_later"), trigger=Trigger("made_later"))

    shown = await connector.card(card)
    assert (shown["status"], shown["status_code"], shown["status_text"]) == ("error", "made_later", UNKNOWN.title)
    (line,) = (await connector.call("GET", path_of(card, "/syncs")))["syncs"]
    assert (line["trigger"], line["code"], line["detail"]) == ("made_later", "made_later", UNKNOWN.detail)
