"""What is known of each day, and the questions about days that lost money. Callers own the transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from uuid import UUID

import structlog
from common.database import Pipeline
from contract.messages import Cost
from contract.rules import readable_from
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.guard import Kind, Question, amounts_of, ask_again_at, judge, waits_for_operator

log = structlog.get_logger()

XAI, OPERATOR = "xai", "operator"
"""Who answers a question."""

_KNOWN = text("SELECT day, ticks FROM known_days WHERE integration_id = :id AND day >= :readable_from")

_OPEN = text("""
    SELECT day, asked_at, kind, answer, answered_at, believed_from, accepted FROM questions WHERE integration_id = :id
""")

_SAVE = text("""
    INSERT INTO questions
        (integration_id, day, asked_at, kind, answer, answered_at, believed_from, accepted, ask_again_at)
    VALUES (:id, :day, :asked_at, :kind, CAST(:answer AS jsonb), :answered_at, :believed_from, :accepted, :ask_again_at)
    ON CONFLICT (integration_id, day) DO UPDATE SET
        kind = excluded.kind, answer = excluded.answer, answered_at = excluded.answered_at,
        believed_from = excluded.believed_from, accepted = excluded.accepted
""")

_DUE = text("""
    SELECT q.integration_id, q.day, q.asked_at FROM questions q JOIN integrations i USING (integration_id)
    WHERE NOT i.removed AND i.refused_code IS NULL AND q.integration_id = coalesce(CAST(:id AS uuid), q.integration_id)
        AND q.ask_again_at <= :now AND q.day > greatest(i.beyond_xai_until, CAST(:readable_from AS date) - 1)
        AND NOT EXISTS (SELECT 1 FROM windows o WHERE o.integration_id = q.integration_id AND o.closed_at IS NULL
            AND q.day BETWEEN o.first_day AND o.last_day)
    ORDER BY q.integration_id, q.day
""")

_ASK_AGAIN = text("UPDATE questions SET ask_again_at = :at WHERE integration_id = :id AND day = :day")

_COUNT = text("SELECT kind, day, clock_timestamp() AS at FROM questions")


async def question(
    connection: AsyncConnection, integration_id: UUID, reading: Mapping[date, Sequence[Cost]], at: datetime
) -> frozenset[date]:
    """The days of a reading observed at `at` that must not be published; their questions are stored."""
    answers = {day: amounts_of(costs) for day, costs in reading.items()}
    values = {"id": integration_id, "readable_from": readable_from(at.date())}
    known = {row.day: row.ticks for row in await connection.execute(_KNOWN, values)}
    before = await _load(connection, integration_id)
    found = judge(answers, known, before, at)
    if found:
        rows = [_row(integration_id, day, one, at) for day, one in found.items()]
        await connection.execute(_SAVE, rows)
        kinds = sorted({one.kind.value for one in found.values()})
        first_asked = len(found.keys() - before.keys())
        log.warning(
            "days.questioned", integration_id=str(integration_id), days=len(found), first_asked=first_asked, kinds=kinds
        )
    return frozenset(found)


async def due(
    connection: AsyncConnection, at: datetime, integration_id: UUID | None = None
) -> dict[UUID, dict[date, datetime]]:
    """Days that are to be asked again, with the instant of the first question: of one integration, or (None) of all."""
    values = {"id": integration_id, "now": at, "readable_from": readable_from(at.date())}
    found: dict[UUID, dict[date, datetime]] = {}
    for row in await connection.execute(_DUE, values):
        found.setdefault(row.integration_id, {})[row.day] = row.asked_at
    return found


async def note_asked(
    connection: AsyncConnection, integration_id: UUID, days: Mapping[date, datetime], at: datetime
) -> None:
    """These days, as `due` answered them, are being asked: they are due again after a longer pause."""
    rows = [{"id": integration_id, "day": day, "at": ask_again_at(asked, at)} for day, asked in days.items()]
    if rows:
        await connection.execute(_ASK_AGAIN, rows)


async def count(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    """Open questions, by kind and by who answers them (`xai`, `operator`), the zeros too."""
    numbers = {(kind.value, who): 0 for kind in Kind for who in (XAI, OPERATOR)}
    for row in await connection.execute(_COUNT):
        numbers[row.kind, waits_for(Kind(row.kind), row.day, row.at)] += 1
    return numbers


def waits_for(kind: Kind, day: date, at: datetime) -> str:
    return OPERATOR if waits_for_operator(kind, day, at) else XAI


async def drop(pipeline: Pipeline, integration_id: UUID) -> None:
    """The integration was removed: nobody is asked about it."""
    await pipeline.execute("DELETE FROM questions WHERE integration_id = %(id)s", {"id": integration_id})


async def erase(pipeline: Pipeline, integration_id: UUID) -> None:
    """Delete what is known of its days."""
    await pipeline.execute("DELETE FROM known_days WHERE integration_id = %(id)s", {"id": integration_id})


async def _load(connection: AsyncConnection, integration_id: UUID) -> dict[date, Question]:
    rows = await connection.execute(_OPEN, {"id": integration_id})
    return {
        row.day: Question(
            row.asked_at, Kind(row.kind), row.answer, row.answered_at, row.believed_from, accepted=row.accepted
        )
        for row in rows
    }


def _row(integration_id: UUID, day: date, one: Question, at: datetime) -> dict[str, object]:
    texts = {"kind": one.kind.value, "answer": json.dumps(one.answer)}
    return asdict(one) | texts | {"id": integration_id, "day": day, "ask_again_at": ask_again_at(one.asked_at, at)}
