"""Reading from xAI: the key is open for as long as the calls take, and each failure becomes an error of the seam."""

import asyncio
import math
import time
from collections.abc import Callable
from decimal import Decimal

import structlog
from common.crypto.envelopes import Binding, Opens, UnsealableError
from common.metrics import XAI_CALLS, XAI_SECONDS, declare
from contract.messages import Cost
from contract.problems import Code
from xai_usage import CallFailed, CallOtherDays, CallRefused, CallTransient, TeamAccess, UsageClient, product_and_model
from xai_usage import Reading as XaiReading

from syncer.domain import CALL_CODES, Days
from syncer.provider import (
    READING_DEADLINE,
    RawAnswer,
    ReadError,
    Reading,
    ReadOtherDaysError,
    ReadRefusedError,
    ReadTransientError,
)
from syncer.store import Credential

log = structlog.get_logger()

_ERRORS: dict[type[CallFailed], type[ReadError]] = {
    CallRefused: ReadRefusedError,
    CallTransient: ReadTransientError,
    CallOtherDays: ReadOtherDaysError,
}


UNOPENED_FOR = 600.0
"""Seconds without a credential that opened, although one was tried: this process has the wrong keyring."""


class KeyringUselessError(Exception):
    """Of the credentials that were tried of late none opened."""


class Xai:
    """The provider xAI."""

    def __init__(self, client: UsageClient, opener: Opens, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that never go back."""
        declare(XAI_CALLS, ["ok", *CALL_CODES])
        self._client = client
        self._opener = opener
        self._clock = clock
        self._opened_at = self._failed_at = -math.inf

    async def ready(self) -> None:
        """Raises KeyringUselessError where credentials were tried within UNOPENED_FOR, and none opened."""
        since = self._clock() - UNOPENED_FOR
        if self._failed_at > since and self._opened_at <= since:
            raise KeyringUselessError

    async def read(self, team_id: str, credential: Credential, days: Days, *, grouped: bool = True) -> Reading:
        """As `Provider.read`; a key that does not open is transient (`key_unavailable`)."""
        outcome = "ok"
        try:
            return _reading(await self._call(team_id, credential, days, grouped=grouped))
        except ReadError as error:
            outcome = error.code.value
            raise
        finally:
            XAI_CALLS.labels(outcome).inc()

    async def _call(self, team_id: str, credential: Credential, days: Days, *, grouped: bool) -> XaiReading:
        try:
            access = TeamAccess(team_id, self._open(credential))
            with XAI_SECONDS.time():
                async with asyncio.timeout(READING_DEADLINE):
                    return await self._client.read(access, days.first, days.last, grouped=grouped)
        except TimeoutError:
            raise ReadTransientError(Code.XAI_UNAVAILABLE, cause=self._at("no answer in time")) from None
        except CallFailed as failure:
            cause = self._at(failure.cause) if failure.cause else None
            raise _ERRORS.get(type(failure), ReadError)(failure.code, failure.retry_after, cause) from None

    def _at(self, cause: str) -> str:
        return f"{self._client.base_url}: {cause}"

    def _open(self, credential: Credential) -> str:
        binding = Binding(credential.account_id, credential.integration_id, credential.credential_version)
        try:
            key = self._opener.open(credential.envelope, binding)
        except UnsealableError:
            self._failed_at = self._clock()
            ids = {"integration_id": str(credential.integration_id), "key_id": credential.envelope.get("key_id")}
            log.error("credential.unavailable", **ids)  # noqa: TRY400 - the error carries no detail
            raise ReadTransientError(Code.KEY_UNAVAILABLE) from None
        self._opened_at = self._clock()
        return key


def _reading(found: XaiReading) -> Reading:
    parts = tuple(RawAnswer(part.first_day, part.last_day, part.body) for part in found.parts)
    days = {day: tuple(_cost(*one) for one in sorted(costs.items())) for day, costs in found.days.items()}
    return Reading(found.first_day, found.last_day, days, found.cut_days, parts)


def _cost(label: str, usd: Decimal) -> Cost:
    product, model = product_and_model(label)
    return Cost(label=label, product=product, model=model, usd=usd)
