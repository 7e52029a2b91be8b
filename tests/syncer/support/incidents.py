"""What may happen to a window: how the provider answers, what happens during the call, how transactions end."""

from contract.problems import Code
from hypothesis import strategies as st
from syncer.domain import Days
from syncer.provider import ReadError, Reading, ReadRefusedError, ReadTransientError

from tests.support.state_machines import Ends
from tests.syncer.support.provider import Answer, dates_of, reading_of

MOSTLY_COMMITTED = st.sampled_from([Ends.COMMITTED, Ends.COMMITTED, Ends.COMMITTED, Ends.ABORTED, Ends.UNKNOWN])


def _cut_some(days: Days) -> Reading:
    return reading_of(days, cut=[days.first])


def _cut_all(days: Days) -> Reading:
    return reading_of(days, cut=dates_of(days))


ANSWERS: dict[str, Answer] = {
    "costs": reading_of,
    "some days cut": _cut_some,
    "all days cut": _cut_all,
    "unavailable": ReadTransientError(Code.XAI_UNAVAILABLE),
    "too often": ReadTransientError(Code.RATE_LIMITED, 600),
    "refused": ReadRefusedError(Code.KEY_REFUSED),
    "malformed": ReadError(Code.REQUEST_REFUSED),
    "a bug": RuntimeError("a bug"),
}
MEANWHILE = (
    "nothing",
    "nothing",
    "nothing",
    "the lease expires",
    "another reads it",
    "the key is replaced",
    "it is removed",
    "force",
)
