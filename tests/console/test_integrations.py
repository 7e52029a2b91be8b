"""How a Force Sync ended, and why days were read, in words."""

from typing import Any

import pytest
from console.integrations import State, Sync, outcome_of

REQUEST = "request-1"


def a_sync(**changes: Any) -> Sync:
    return Sync.model_validate(
        {
            "trigger": "force",
            "request_ids": [REQUEST],
            "first_day": "2026-11-21",
            "last_day": "2026-11-28",
            "usd": "1.5",
            "days_changed": 0,
            "reconciled": True,
            "code": None,
            "detail": None,
            "final": True,
            "next_attempt_at": None,
            "at": "2026-11-28T06:00:01Z",
        }
        | changes
    )


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.DONE),
        ({"code": "xai_unavailable", "detail": "xAI does not answer.", "final": False}, State.WAITING),
        ({"code": "key_refused", "detail": "It was revoked.", "final": True}, State.FAILED),
    ],
)
def test_a_request_is_done_waits_for_a_retry_or_has_failed(changes: dict[str, Any], state: State) -> None:
    assert outcome_of(REQUEST, [a_sync(**changes)]).state is state


def test_a_request_without_a_line_waits() -> None:
    outcome = outcome_of("request-2", [a_sync()])

    assert (outcome.state, outcome.sync) == (State.WAITING, None)


def test_the_newest_line_of_a_request_counts() -> None:
    failed = a_sync(code="xai_unavailable", detail="xAI does not answer.", final=False)

    assert outcome_of(REQUEST, [a_sync(), failed]).state is State.DONE


@pytest.mark.parametrize(("trigger", "why"), [("heal", "missing days"), ("force", "Force Sync"), ("newer", "newer")])
def test_the_reason_of_a_sync_is_in_words_and_an_unknown_one_is_shown_as_it_is(trigger: str, why: str) -> None:
    assert a_sync(trigger=trigger).why == why


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Every day is stored."),
        ({"reconciled": False}, "Some days are not stored yet: they are read again."),
        ({"detail": "xAI reports less than before for 1 day: asking again"}, "xAI reports less"),
    ],
)
def test_how_a_sync_ended_is_a_sentence(changes: dict[str, Any], text: str) -> None:
    assert a_sync(**changes).text.startswith(text)
