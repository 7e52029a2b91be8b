"""A dead letter is open until a record of its ID closes it."""

from contract.cloudevents import MalformedError
from contract.dead_letters import DeadLetterHeaders, closing_headers
from contract.topics import COSTS, DEAD_LETTERS
from grafient.dead_letters.topic import dead_letters_of

from tests.support.messages import Headers, encoded, raw_record

RECORD = raw_record(COSTS, b"{not json", offset=7)
ID = f"ledger:{COSTS.name}:{RECORD.partition}:7"


def _headers(*, answered: bool = False) -> Headers:
    error = MalformedError("body_malformed", "is no JSON")
    return encoded(DeadLetterHeaders.of(RECORD, "ledger", error, attempts=2, keep=True, answered=answered).wire())


def test_a_dead_letter_has_the_place_the_reason_and_the_content_of_its_record() -> None:
    (found,) = dead_letters_of([raw_record(DEAD_LETTERS, b"{not json", _headers())]).values()

    assert (found.dead_letter_id, found.topic, found.offset, found.reason) == (ID, COSTS.name, 7, "body_malformed")
    assert (found.closed, found.attempts, found.redrives, found.size) == (None, 2, 0, 9)
    assert found.original is not None
    assert found.original.value == b"{not json"


def test_the_newest_record_of_an_id_counts() -> None:
    dead_letter = raw_record(DEAD_LETTERS, b"{not json", _headers())
    closing = raw_record(DEAD_LETTERS, b"", closing_headers(ID, "dropped"))

    assert dead_letters_of([dead_letter, closing])[ID].closed == "dropped"
    assert dead_letters_of([dead_letter, closing, dead_letter])[ID].closed is None
    assert dead_letters_of([closing]) == {}


def test_a_dead_letter_that_was_answered_is_closed_from_the_start() -> None:
    (found,) = dead_letters_of([raw_record(DEAD_LETTERS, b"{not json", _headers(answered=True))]).values()

    assert found.closed == "answered"


def test_a_record_without_an_id_is_ignored() -> None:
    assert dead_letters_of([raw_record(DEAD_LETTERS, b"anything")]) == {}
