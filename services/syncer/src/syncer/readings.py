"""Stores a reading, and what is decided about it, by one statement under the claim: whole, or not at all."""

import json
import zlib

from contract.messages import WindowRead
from sqlalchemy.ext.asyncio import AsyncConnection

from syncer.decisions import Decision, ReadingDecision
from syncer.group_commit import GroupCommit
from syncer.guard import amounts_of
from syncer.leases import Claim
from syncer.provider import Reading

COMPRESSION = 1
"""Of raw answers: they are repetitive, and more effort hardly makes them smaller."""

_SAVE = """
    WITH held AS MATERIALIZED (
        SELECT integration_id FROM integrations
        WHERE integration_id = %(id)s AND lease = %(lease)s AND lease_until >= clock_timestamp()
            AND leased_window = %(window_id)s AND NOT removed AND (refused_code IS NULL OR %(refused)s)
            AND (SELECT count(*) FROM requests WHERE window_id = %(window_id)s) = %(requests)s
        FOR UPDATE
    ), decided AS (
        UPDATE windows SET decision = %(decision)s FROM held WHERE window_id = %(window_id)s AND closed_at IS NULL
        RETURNING window_id
    ), noted AS (
        UPDATE integrations i SET read_at = coalesce(%(read_at)s, i.read_at), refused_once_at = NULL, beyond_xai_until = CASE
            WHEN %(beyond)s::date IS NOT NULL OR i.beyond_xai_until >= %(first_day)s THEN %(first_day)s - 1
            ELSE i.beyond_xai_until END
        FROM held WHERE i.integration_id = held.integration_id
    ), answers AS (
        INSERT INTO raw_answers (reading_id, part, integration_id, first_day, last_day, observed_at, sha256, body)
        SELECT %(reading_id)s, number - 1, integration_id, first_day, last_day, %(observed_at)s, sha256, body
        FROM held, unnest(%(firsts)b::date[], %(lasts)b::date[], %(hashes)b::bytea[], %(bodies)b::bytea[])
            WITH ORDINALITY AS answer(first_day, last_day, sha256, body, number)
    ), published AS (
        INSERT INTO coverage (integration_id, day, published_at)
        SELECT integration_id, day, %(observed_at)s FROM held, unnest(%(days)b::date[]) day
        ON CONFLICT (integration_id, day)
            DO UPDATE SET published_at = greatest(coverage.published_at, excluded.published_at)
    ), answered AS (
        DELETE FROM questions q USING held WHERE q.integration_id = held.integration_id AND q.day = ANY(%(days)b::date[])
    ), known AS (
        INSERT INTO known_days (integration_id, day, ticks)
        SELECT integration_id, day, ticks::jsonb FROM held, unnest(%(days)b::date[], %(ticks)b::text[]) new(day, ticks)
        ON CONFLICT (integration_id, day) DO UPDATE SET ticks = excluded.ticks WHERE known_days.ticks <> excluded.ticks
    )
    SELECT window_id FROM decided
"""


async def save(group: GroupCommit, claim: Claim, reading: Reading, decision: ReadingDecision) -> bool:
    """Store a reading of which all is published.

    False where the lease was lost, the integration is removed or refused, or a request joined: by a clock that was ahead
    for a moment, the lease had expired.
    """
    values = _values(claim, reading, decision.window, decision) | {"refused": False}
    return await group.execute(claim.integration_id, _SAVE, values) > 0


async def save_locked(
    connection: AsyncConnection, claim: Claim, reading: Reading, read: ReadingDecision, decision: Decision
) -> bool:
    """Store any reading within the transaction that locked the claim; `read` has the days that are believed.

    `decision` is stored, and published later.
    """
    found = await connection.exec_driver_sql(_SAVE, _values(claim, reading, read.window, decision) | {"refused": True})
    return found.first() is not None


def _values(claim: Claim, reading: Reading, window: WindowRead, decision: Decision) -> dict[str, object]:
    days, parts, at = list(window.totals), reading.parts, window.observed_at
    return {
        "id": claim.integration_id,
        "lease": claim.lease,
        "window_id": claim.window_id,
        "requests": len(window.request_ids),
        "decision": decision.stored,
        "read_at": at if at.date() in window.totals else None,
        "first_day": reading.first_day,
        "beyond": reading.beyond_until,
        "reading_id": window.reading_id,
        "observed_at": at,
        "firsts": [part.first_day for part in parts],
        "lasts": [part.last_day for part in parts],
        "hashes": [part.sha256 for part in parts],
        "bodies": [zlib.compress(part.body, COMPRESSION) for part in parts],
        "days": days,
        "ticks": [json.dumps(amounts_of(reading.days[day])) for day in days],
    }
