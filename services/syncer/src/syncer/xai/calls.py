"""Reading from xAI: the key is open for as long as the calls take, and each failure becomes an error of the seam."""

import asyncio
from decimal import Decimal

from common.crypto.envelopes import Binding, Opens, UnsealableError
from common.metrics import XAI_CALLS, XAI_SECONDS
from contract.messages import Cost
from contract.problems import Code
from xai_usage import CallFailed, CallOtherDays, CallRefused, CallTransient, TeamAccess, UsageClient, product_and_model
from xai_usage import Reading as XaiReading

from syncer.domain import Days
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

_ERRORS: dict[type[CallFailed], type[ReadError]] = {
    CallRefused: ReadRefusedError,
    CallTransient: ReadTransientError,
    CallOtherDays: ReadOtherDaysError,
}


class Xai:
    """The provider xAI."""

    def __init__(self, client: UsageClient, opener: Opens) -> None:
        self._client = client
        self._opener = opener

    async def read(self, team_id: str, credential: Credential, days: Days, *, grouped: bool = True) -> Reading:
        """As `Provider.read`; a key that does not open is transient (`unsealable`)."""
        outcome = "ok"
        try:
            return _reading(await self._call(team_id, credential, days, grouped=grouped))
        except ReadError as error:
            outcome = error.code.value
            raise
        finally:
            XAI_CALLS.labels(outcome).inc()

    async def _call(self, team_id: str, credential: Credential, days: Days, *, grouped: bool) -> XaiReading:
        binding = Binding(credential.account_id, credential.integration_id, credential.credential_version)
        try:
            access = TeamAccess(team_id, self._opener.open(credential.envelope, binding))
            with XAI_SECONDS.time():
                async with asyncio.timeout(READING_DEADLINE):
                    return await self._client.read(access, days.first, days.last, grouped=grouped)
        except UnsealableError:
            raise ReadTransientError(Code.UNSEALABLE) from None
        except TimeoutError:
            raise ReadTransientError(Code.XAI_UNAVAILABLE) from None
        except CallFailed as failure:
            raise _ERRORS.get(type(failure), ReadError)(failure.code, failure.retry_after) from None


def _reading(found: XaiReading) -> Reading:
    parts = tuple(RawAnswer(part.first_day, part.last_day, part.body) for part in found.parts)
    days = {day: tuple(_cost(*one) for one in sorted(costs.items())) for day, costs in found.days.items()}
    return Reading(found.first_day, found.last_day, days, found.cut_days, parts)


def _cost(label: str, usd: Decimal) -> Cost:
    product, model = product_and_model(label)
    return Cost(label=label, product=product, model=model, usd=usd)
