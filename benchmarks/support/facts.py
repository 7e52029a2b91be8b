"""The records of `xai.costs.v1` that a benchmark reads: as the syncer writes them, drawn from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple
from uuid import UUID

from contract.cloudevents import headers_of
from contract.fields import Trigger, rfc3339
from contract.messages import Message, WindowRead

KINDS = ("0709", "fast-0709", "non-reasoning-0709", "reasoning-0709")
MODELS = tuple(f"grok-{number}-{kind}" for number in range(4, 9) for kind in KINDS)
LABELS = tuple(f"Chat {model}" for model in MODELS)
"""20 of 16 to 30 characters, sorted, each of a product and a model."""
TICKS = 10**10
LAST_DAY = date(2026, 9, 30)
SOURCE = "syncer"


class Record(NamedTuple):
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def record_of(message: Message, key: str, event_id: str, source: str, at: datetime) -> Record:
    """`message` as a service publishes it."""
    headers = headers_of(message, event_id=event_id, source=source, at=at).items()
    return Record(key.encode(), message.model_dump_json().encode(), [(name, value.encode()) for name, value in headers])


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of every integration: `windows` of `days` each, newest first, of 20 facts a day."""

    integrations: int
    windows: int
    days: int
    observed_at: datetime
    proofs: bool = True
    """With a WindowRead behind the days of each window."""
    restated: bool = False
    """One label of each day costs another amount than in readings of the same integrations that are not restated."""

    @property
    def facts(self) -> int:
        return self.integrations * self.windows * self.days * len(LABELS)

    @property
    def messages(self) -> int:
        return self.integrations * self.windows * (self.days + self.proofs)

    @property
    def outcomes(self) -> int:
        return self.integrations * self.windows * self.proofs

    def records(self) -> Iterator[Record]:
        """Amounts depend on the integration's number and the day: equal in all readings that are not restated."""
        for number in range(self.integrations):
            yield from self._of_integration(number)

    def _of_integration(self, number: int) -> Iterator[Record]:
        draw, reading = Random(number), Random(f"{number} {self.observed_at}")  # noqa: S311 - no secret
        integration_id = _uuid(draw)
        key = str(integration_id).encode()
        for window in range(self.windows):
            reading_id = _uuid(reading)
            last = LAST_DAY - timedelta(days=window * self.days)
            totals: dict[date, Decimal] = {}
            for day in (last - timedelta(days=back) for back in reversed(range(self.days))):
                ticks = [draw.getrandbits(36) | 1 for _ in LABELS]
                if self.restated:
                    ticks[0] += 2
                totals[day] = Decimal(sum(ticks)).scaleb(-10)
                headers = self._headers("CostRecorded", f"{reading_id}:{day}")
                yield Record(key, self._day(number, integration_id, day, ticks, reading_id), headers)
            if self.proofs:
                proof = self._proof(number, integration_id, reading_id, totals)
                yield Record(key, proof, self._headers("WindowRead", f"{reading_id}:window"))

    def _day(self, number: int, integration_id: UUID, day: date, ticks: list[int], reading_id: UUID) -> bytes:
        """CostRecorded as pydantic writes it; by hand, for a million facts shall be there in seconds."""
        costs = ",".join(
            f'{{"label":"{label}","product":"Chat","model":"{model}","usd":"{_usd(one)}"}}'
            for label, model, one in zip(LABELS, MODELS, ticks, strict=True)
        )
        return (
            f'{{"account_id":"account-{number}","integration_id":"{integration_id}","day":"{day}",'
            f'"usd":"{_usd(sum(ticks))}","costs":[{costs}],'
            f'"reading_id":"{reading_id}","observed_at":"{rfc3339(self.observed_at)}"}}'
        ).encode()

    def _proof(self, number: int, integration_id: UUID, reading_id: UUID, totals: dict[date, Decimal]) -> bytes:
        message = WindowRead(
            account_id=f"account-{number}",
            integration_id=integration_id,
            reading_id=reading_id,
            observed_at=self.observed_at,
            first_day=min(totals),
            last_day=max(totals),
            trigger=Trigger.BACKFILL,
            request_ids=(f"backfill:{integration_id}:1:{min(totals)}",),
            totals=totals,
            credential_version=1,
        )
        return message.model_dump_json().encode()

    def _headers(self, kind: str, event_id: str) -> list[tuple[str, bytes]]:
        names = headers_of(Message(), event_id=event_id, source=SOURCE, at=self.observed_at) | {"ce_type": kind}
        return [(name, value.encode()) for name, value in names.items()]


def _uuid(draw: Random) -> UUID:
    return UUID(int=draw.getrandbits(128), version=4)


def _usd(ticks: int) -> str:
    text = f"{ticks // TICKS}.{ticks % TICKS:010}"
    return text.rstrip("0").rstrip(".")
