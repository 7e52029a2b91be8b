"""Asking xAI: open the key for as long as the call takes, and hand on what was read or why not."""

import asyncio

from common.crypto.envelopes import Binding, Opens, UnsealableError
from common.metrics import XAI_CALLS, XAI_SECONDS
from contract.problems import Code
from xai_usage import CallFailed, CallTransient, Reading, TeamAccess, UsageClient

from syncer.domain import Days
from syncer.store import Credential

READING_DEADLINE = 120.0
"""Seconds for all the calls of one reading: a range that xAI cuts is asked for in halves."""


class Xai:
    """The way to xAI, for one reading at a time."""

    def __init__(self, client: UsageClient, opener: Opens) -> None:
        self._client = client
        self._opener = opener

    async def read(self, team_id: str, credential: Credential, days: Days, *, grouped: bool = True) -> Reading:
        """What xAI says of `days`, by label or (not grouped) as one sum a day.

        Raises CallFailed, also (transient, `unsealable`) where the key does not open.
        """
        outcome = "ok"
        try:
            access = TeamAccess(team_id, self._opener.open(credential.envelope, _place(credential)))
            with XAI_SECONDS.time():
                async with asyncio.timeout(READING_DEADLINE):
                    return await self._client.read(access, days.first, days.last, grouped=grouped)
        except UnsealableError:
            outcome = Code.UNSEALABLE.value
            raise CallTransient(Code.UNSEALABLE) from None
        except TimeoutError:
            outcome = Code.XAI_UNAVAILABLE.value
            raise CallTransient(Code.XAI_UNAVAILABLE) from None
        except CallFailed as failure:
            outcome = failure.code.value
            raise
        finally:
            XAI_CALLS.labels(outcome).inc()


def _place(credential: Credential) -> Binding:
    return Binding(credential.account_id, credential.integration_id, credential.credential_version)
