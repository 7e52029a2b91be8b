"""The headers of a dead letter are the same bytes in every release, and are read back as they were written."""

from typing import Any

import pytest
from contract.cloudevents import MalformedError
from contract.dead_letters import DeadLetterHeaders, Original, closed_by, closing_headers
from contract.topics import COSTS, DEAD_LETTERS

from tests.support.messages import encoded, raw_record

ERROR = MalformedError("body_malformed", "not a SyncRequested" + "x" * 2000)
ORIGIN = {
    "dead_letter_id": "syncer:xai.costs.v1:4:7",
    "dead_letter_service": "syncer",
    "dead_letter_topic": "xai.costs.v1",
    "dead_letter_partition": "4",
    "dead_letter_offset": "7",
    "dead_letter_timestamp_ms": "-1000",
    "dead_letter_reason": "body_malformed",
    "dead_letter_detail": ERROR.detail[:1000],
    "dead_letter_attempts": "3",
    "dead_letter_redrives": "2",
}
KEPT = {
    "dead_letter_headers": '[["dead_letter_redrives", "Mg=="], ["ce_id", "/g=="], ["none", null]]',
    "dead_letter_key": "a2V5",
    "dead_letter_value": "bytes",
}
FINGERPRINT = {
    "dead_letter_size": "2",
    "dead_letter_sha256": "b26f99543485cab0666a50160ed4281d01669a10feb99985525b10dd791f1e9d",
}
HEADERS = [("dead_letter_redrives", b"2"), ("ce_id", b"\xfe"), ("none", None)]
RECORD = raw_record(COSTS, b"\xff{", HEADERS, partition=4, offset=7, timestamp=-1000)


def _written(record: Any = RECORD, *, keep: bool = True) -> dict[str, str]:
    return DeadLetterHeaders.of(record, "syncer", ERROR, attempts=3, keep=keep).wire()


def _read(headers: dict[str, str], value: bytes | None = b"\xff{") -> DeadLetterHeaders | None:
    return DeadLetterHeaders.read(raw_record(DEAD_LETTERS, value, encoded(headers)))


@pytest.mark.parametrize(("keep", "content"), [(True, KEPT), (False, FINGERPRINT)], ids=["kept", "fingerprint"])
def test_the_headers_are_these_in_this_order(keep: bool, content: dict[str, str]) -> None:  # noqa: FBT001 - a case
    assert list(_written(keep=keep).items()) == list((ORIGIN | content).items())


def test_a_dead_letter_that_was_answered_has_one_header_more() -> None:
    headers = DeadLetterHeaders.of(RECORD, "syncer", ERROR, attempts=3, keep=False, answered=True)

    assert headers.wire() == _written(keep=False) | {"dead_letter_answered": "true"}
    assert _read(headers.wire()) == headers


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_written_is_read_back(keep: bool) -> None:  # noqa: FBT001 - a case
    headers = DeadLetterHeaders.of(RECORD, "syncer", ERROR, attempts=3, keep=keep)

    assert _read(headers.wire()) == headers


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [(b"key", b"\xff{", HEADERS), (None, None, []), (b"", b"", [])],
    ids=["bytes", "without key and value", "empty"],
)
def test_the_original_is_kept_byte_for_byte(key: bytes | None, value: bytes | None, headers: list[Any]) -> None:
    read = _read(_written(raw_record(COSTS, value, headers, key=key)))

    assert read is not None
    assert read.original(value or b"") == Original(key or None, value, tuple(headers))


def test_of_a_fingerprint_nothing_can_be_sent_again() -> None:
    read = _read(_written(keep=False))

    assert read is not None
    assert read.original(b"") is None


@pytest.mark.parametrize("digits", ["", "x", "-1", "²", "9" * 5000])
def test_a_number_that_is_none_counts_as_0(digits: str) -> None:
    record = raw_record(COSTS, b"", [("dead_letter_redrives", digits.encode())])

    assert _written(record)["dead_letter_redrives"] == "0"


def test_a_dead_letter_of_another_release_is_read_as_far_as_possible() -> None:
    read = _read({"dead_letter_id": "a", "dead_letter_value": "something else", "new": "header"})

    assert read is not None
    assert (read.id, read.topic, read.offset) == ("a", "", 0)
    assert _read({"ce_id": "no dead letter"}) is None


def test_a_record_that_is_sent_again_counts_how_often() -> None:
    original = Original(b"key", b"", (("ce_id", None), ("x", b"\xff"), ("x", b""), ("dead_letter_redrives", b"2")))

    assert original.redrive_headers(3) == [("ce_id", None), ("x", b"\xff"), ("x", b""), ("dead_letter_redrives", b"3")]


def test_a_closing_record_names_the_dead_letter_that_it_ends() -> None:
    closing = raw_record(DEAD_LETTERS, b"", closing_headers("syncer:a:1:2", "dropped"))

    assert closed_by(closing) == ("syncer:a:1:2", "dropped")
    assert DeadLetterHeaders.read(closing) is None
    assert closed_by(RECORD) is None
