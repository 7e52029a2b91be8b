"""Days, each as its newest reading reported it; a trigger keeps what a day held before."""

from collections.abc import Sequence
from typing import LiteralString

from common.database import Cursor, Pipeline
from contract.messages import CostRecorded

from ledger.domain import batches_of_unique_days

ENDS_AT: LiteralString = "(d.day + 1)::timestamp AT TIME ZONE 'UTC'"
"""The instant at which the UTC day of a row `d` is over: `contract.rules.ends_at` in SQL."""
_REPLACED: LiteralString = f"""SELECT FROM day_revisions r WHERE r.integration_id = d.integration_id
    AND r.day = d.day AND r.account_id = d.account_id AND r.said_since >= {ENDS_AT}"""
RESTATED: LiteralString = f"EXISTS ({_REPLACED})"
"""Whether what was reported of the day of a row `d`, after it was over, has been replaced; the key alone answers it."""
RESTATED_AS_OF: LiteralString = f"EXISTS ({_REPLACED} AND r.said_until <= %(as_of)s)"
"""The same, as known at an instant."""

# The anti-joins leave what is replayed unlocked; the order keeps two batches from deadlocking. Binary arrays (%b): the text
# form of a list of texts costs many times as much.
_RECORD_LABELS: LiteralString = """
    INSERT INTO label_lists (labels_id, labels)
    SELECT labels_id, labels::jsonb FROM unnest(%(ids)b::uuid[], %(labels)b::text[]) AS new(labels_id, labels)
    WHERE NOT EXISTS (SELECT 1 FROM label_lists old WHERE old.labels_id = new.labels_id)
        AND EXISTS (SELECT 1 FROM unnest(%(listed)b::uuid[], %(owners)b::uuid[]) AS of_owner(labels_id, integration_id)
            WHERE of_owner.labels_id = new.labels_id AND NOT EXISTS
                (SELECT 1 FROM erased WHERE erased.integration_id = of_owner.integration_id))
    ORDER BY labels_id ON CONFLICT DO NOTHING
"""
_RECORD: LiteralString = """
    INSERT INTO days (integration_id, day, account_id, usd, labels_id, amounts, reading_id, observed_at, said_since)
    SELECT integration_id, day, account_id, usd, labels_id, amounts::numeric[], reading_id, observed_at, observed_at
    FROM unnest(%(ids)b::uuid[], %(days)b::date[], %(accounts)b::text[], %(usd)b::numeric[], %(labels_ids)b::uuid[],
        %(amounts)b::text[], %(readings)b::uuid[], %(observed)b::timestamptz[])
        AS new(integration_id, day, account_id, usd, labels_id, amounts, reading_id, observed_at)
    WHERE NOT EXISTS (SELECT 1 FROM days old WHERE old.integration_id = new.integration_id AND old.day = new.day
        AND old.account_id = new.account_id AND old.observed_at >= new.observed_at)
        AND NOT EXISTS (SELECT 1 FROM erased WHERE erased.integration_id = new.integration_id)
    ORDER BY integration_id, day, account_id
    ON CONFLICT (integration_id, day, account_id) DO UPDATE SET
        usd = excluded.usd, labels_id = excluded.labels_id, amounts = excluded.amounts, reading_id = excluded.reading_id,
        observed_at = excluded.observed_at
    WHERE days.observed_at < excluded.observed_at
"""


async def record(pipeline: Pipeline, days: Sequence[CostRecorded]) -> list[Cursor]:
    """Write the days that are newer than the stored ones, but none of an erased integration.

    The answers' `rowcount` are how many were written.
    """
    if days:
        await _record_labels(pipeline, days)
    return [await _record(pipeline, batch) for batch in batches_of_unique_days(days)]


async def _record_labels(pipeline: Pipeline, days: Sequence[CostRecorded]) -> None:
    """Write the lists that are not there, but none that only erased integrations have."""
    lists = {day.costs.labels for day in days}
    owners = {(day.costs.labels.labels_id, day.integration_id) for day in days}
    values = {
        "ids": [labels.labels_id for labels in lists],
        "labels": [labels.json for labels in lists],
        "listed": [labels_id for labels_id, _ in owners],
        "owners": [integration_id for _, integration_id in owners],
    }
    await pipeline.execute(_RECORD_LABELS, values)


async def _record(pipeline: Pipeline, days: Sequence[CostRecorded]) -> Cursor:
    return await pipeline.execute(
        _RECORD,
        {
            "ids": [day.integration_id for day in days],
            "days": [day.day for day in days],
            "accounts": [day.account_id for day in days],
            "usd": [day.usd for day in days],
            "labels_ids": [day.costs.labels.labels_id for day in days],
            "amounts": [f"{{{','.join(day.costs.amounts)}}}" for day in days],
            "readings": [day.reading_id for day in days],
            "observed": [day.observed_at for day in days],
        },
    )
