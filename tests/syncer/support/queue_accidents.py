"""What may happen to a window of the syncer: how xAI answers, what happens meanwhile, how a worker claims."""

from datetime import date, timedelta

from contract.problems import Code
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from syncer import windows
from syncer.domain import Days
from syncer.windows import Claim
from syncer.worker import Worker
from xai_usage import CallMalformed, CallRefused, CallTransient, Reading

from tests.support.state_machines import Ends
from tests.syncer.support.fakes import Says, says

OFTEN_WELL = st.sampled_from([Ends.WELL, Ends.WELL, Ends.WELL, Ends.ABORTED, Ends.UNHEARD])


def _cut_some(days: Days) -> Reading:
    return says(days, cut=[days.first])


def _cut_all(days: Days) -> Reading:
    return says(days, cut=days_of(days))


ANSWERS: dict[str, Says] = {
    "costs": says,
    "some days cut": _cut_some,
    "all days cut": _cut_all,
    "away": CallTransient(Code.XAI_UNAVAILABLE),
    "too often": CallTransient(Code.RATE_LIMITED, 600),
    "refused": CallRefused(Code.KEY_REFUSED),
    "malformed": CallMalformed(Code.TEAM_MALFORMED),
    "a bug": RuntimeError("a bug"),
}
MEANWHILE = (
    "nothing",
    "nothing",
    "nothing",
    "the lease runs out",
    "another reads it",
    "the key is replaced",
    "it goes",
    "force",
)


def days_of(days: Days) -> list[date]:
    return [days.first + timedelta(days=number) for number in range((days.last - days.first).days + 1)]


async def claimed_by(worker: Worker, *, patient: bool = True) -> Claim | None:
    """As the worker's loop does; without its pause after a connection that broke."""
    if patient:
        claim: Claim | None = await worker._claim()  # noqa: SLF001 - a step of the worker's loop
        return claim
    database = worker._database  # noqa: SLF001 - as above
    try:
        async with database.transaction() as connection:
            return await windows.claim(connection, "")
    except OperationalError:
        return None
