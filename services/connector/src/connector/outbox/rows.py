"""Rows of integrations that are ahead of what was announced: each is its own outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.direct_connections import Driver
from contract.fields import Status

from connector.store import COLUMNS, FROM, Integration, integration_of

BATCH_SIZE = 100
"""Rows of each kind."""
REANNOUNCE_AFTER = timedelta(days=1)
"""Restores what a consumer or a compacted topic has lost."""

# `now()` and not `clock_timestamp()`, which is volatile: it would be compared with every row instead of bounding the index.
_DAILY = "announced_at < now() - %(reannounce_after)s::interval"
_KEY_AHEAD = "(credential_version, wrap_version) > (announced_credential_version, announced_wrap_version)"

# Each kind has its own index: a hundred thousand keys with a new wrap do not delay what changed.
_DUE = f"""
    SELECT {COLUMNS}, i.sealed_at, i.traceparent, i.announced_version, i.announced_credential_version, i.announced_wrap_version,
        coalesce(i.{_DAILY}, false) AS daily
    {FROM}
    WHERE i.integration_id IN (
        (SELECT integration_id FROM integrations WHERE version > announced_version ORDER BY changed_at LIMIT %(batch)s)
        UNION (SELECT integration_id FROM integrations WHERE {_KEY_AHEAD} ORDER BY sealed_at LIMIT %(batch)s)
        UNION (SELECT integration_id FROM integrations WHERE {_DAILY} ORDER BY announced_at LIMIT %(batch)s)
    )
    ORDER BY i.changed_at
"""  # noqa: S608 - only constants are put in

_SAME_KEY = "(i.announced_credential_version, i.announced_wrap_version) = (sent.was_credential, sent.was_wrap)"
_OTHER_KEY = """(i.announced_credential_version, i.announced_wrap_version) > (sent.credential, sent.wrap)
    OR (i.envelope IS NULL AND NOT sent.gone)"""

# What was not published is null here, and then stays as it is.
_MARK = """
    UPDATE integrations i SET
        announced_version = CASE WHEN i.announced_version = sent.was_version THEN sent.version
            WHEN i.announced_version > sent.version THEN 0 ELSE i.announced_version END,
        announced_credential_version = CASE WHEN {other} THEN 0 WHEN {same} THEN sent.credential
            ELSE i.announced_credential_version END,
        announced_wrap_version = CASE WHEN {other} THEN 0 WHEN {same} THEN sent.wrap ELSE i.announced_wrap_version END,
        announced_at = CASE WHEN sent.gone IS NOT NULL AND sent.version IS NOT NULL THEN clock_timestamp()
            ELSE i.announced_at END
    FROM (
        SELECT new.* FROM unnest(
            %(ids)s::uuid[], %(was_version)s::bigint[], %(version)s::bigint[],
            %(was_credential)s::integer[], %(was_wrap)s::integer[],
            %(credential)s::integer[], %(wrap)s::integer[], %(gone)s::boolean[]
        ) new (integration_id, was_version, version, was_credential, was_wrap, credential, wrap, gone)
        JOIN integrations locked USING (integration_id) FOR NO KEY UPDATE OF locked {waiting}
    ) sent
    WHERE i.integration_id = sent.integration_id
    RETURNING i.integration_id
"""
_MARK_FREE, _MARK_ALL = (
    _MARK.format(other=_OTHER_KEY, same=_SAME_KEY, waiting=waiting) for waiting in ("SKIP LOCKED", "")
)


@dataclass(frozen=True, slots=True)
class Due:
    """A row to announce: its state, its key, or both."""

    row: Integration
    sealed_at: datetime
    """When its key was sealed or wrapped last."""
    traceparent: str | None
    """Of the request or message that changed it last."""
    was_version: int
    """What was announced last; the same for the key below."""
    was_credential: int
    was_wrap: int
    daily: bool
    """REANNOUNCE_AFTER has passed since both were announced."""

    @property
    def publishes_state(self) -> bool:
        return self.daily or self.row.version > self.was_version

    @property
    def publishes_key(self) -> bool:
        """Or the key's tombstone, with every state of a removed row."""
        ahead = (self.row.credential_version, self.row.wrap_version) > (self.was_credential, self.was_wrap)
        return self.daily or ahead or self.row.status is Status.REMOVED


async def due(driver: Driver) -> list[Due]:
    """Rows that are ahead or were last announced a day ago, in the order of their changes: a batch of each kind."""
    values = {"batch": BATCH_SIZE, "reannounce_after": REANNOUNCE_AFTER}
    return [
        Due(
            row=integration_of(row),
            sealed_at=row["sealed_at"],
            traceparent=row["traceparent"],
            was_version=row["announced_version"],
            was_credential=row["announced_credential_version"],
            was_wrap=row["announced_wrap_version"],
            daily=row["daily"],
        )
        async for row in await driver.execute(_DUE, values)
    ]


async def mark_announced(driver: Driver, published: Sequence[Due], *, wait: bool) -> list[Due]:
    """Set what was announced by compare-and-set; a row whose newer state was announced meanwhile is due again.

    Locked rows are skipped unless `wait`: a statement that waits for several can deadlock. Returns the skipped ones.
    """
    statement = _MARK_ALL if wait else _MARK_FREE
    marked = {row["integration_id"] async for row in await driver.execute(statement, _columns(published))}
    return [one for one in published if one.row.integration_id not in marked]


def _columns(published: Sequence[Due]) -> dict[str, list[object]]:
    states = [one if one.publishes_state else None for one in published]
    keys = [one if one.publishes_key else None for one in published]
    return {
        "ids": [one.row.integration_id for one in published],
        "was_version": [one and one.was_version for one in states],
        "version": [one and one.row.version for one in states],
        "was_credential": [one and one.was_credential for one in keys],
        "was_wrap": [one and one.was_wrap for one in keys],
        "credential": [one and one.row.credential_version for one in keys],
        "wrap": [one and one.row.wrap_version for one in keys],
        "gone": [one and one.row.envelope is None for one in keys],
    }
