"""Days, instants and lines of text: what is accepted, and what is refused."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from contract.fields import Day, Instant, Label, Text, canonical_team_id, rfc3339
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "2026-11-20T00:00:00", "0", 0]
)
def test_an_instant_outside_the_calendar_or_without_a_zone_is_refused(instant: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(instant)


def test_an_instant_is_stored_and_written_in_utc() -> None:
    instant = TypeAdapter(Instant).validate_python("2026-11-20T01:00:00+01:00")

    assert instant == datetime(2026, 11, 20, tzinfo=UTC)
    assert rfc3339(instant) == "2026-11-20T00:00:00.000000Z"


@pytest.mark.parametrize("day", ["20261120", "2026-11-20T00:00:00", "1795219200", 1795219200])
def test_a_day_is_an_iso_date_and_nothing_else(day: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Day).validate_python(day)


@pytest.mark.parametrize("label", ["", " ", "a\nb", "a\0", "\ud800", "a" * 257])
def test_a_label_is_one_visible_line(label: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Label).validate_python(label)


TEXT: TypeAdapter[str] = TypeAdapter(Text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_whatever_has_no_nul(text: str) -> None:
    assert TEXT.validate_json(json.dumps(text.replace("\0", ""))) == text.replace("\0", "")
    with pytest.raises(ValidationError):
        TEXT.validate_json(json.dumps(f"{text}\0{text}"))


TEAM = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
WRITTEN = [
    *(TEAM, TEAM.upper(), TEAM.replace("-", ""), TEAM.replace("-", "").upper(), f" {TEAM}\n"),
    *(f"{{{TEAM}}}", f"{{{TEAM.upper()}}}", f"urn:uuid:{TEAM}", f"URN:UUID:{TEAM.upper()}"),
]
"""What people and programs write for one UUID."""


@pytest.mark.parametrize("text", WRITTEN)
def test_every_written_form_of_a_team_id_is_one_team(text: str) -> None:
    assert canonical_team_id(text) == TEAM


@pytest.mark.parametrize(
    "text",
    [
        *("", "team-1", TEAM[:-1], f"{TEAM}0", TEAM.replace("3", "g"), f"{{{TEAM}", f"{TEAM}}}", f"uuid:{TEAM}"),
        *("3f2b8c1e5d47-4e9a-9c36-0a1b2c3d4e5f", TEAM.replace("-", " "), TEAM.replace("-", "\u2010"), f"{TEAM}/../x"),
        TEAM.replace("3", "\uff13"),
    ],
)
def test_what_is_no_uuid_is_no_team_id(text: str) -> None:
    assert canonical_team_id(text) is None


@given(st.uuids(), st.text(max_size=60))
def test_a_canonical_team_id_stays_as_it_is(team: UUID, text: str) -> None:
    assert canonical_team_id(str(team)) == str(team)
    assert canonical_team_id(text) in {None, canonical_team_id(canonical_team_id(text) or "")}
