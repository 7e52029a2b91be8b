"""A bucket for each key, whatever comes when."""

from itertools import combinations

import pytest
from common.rate_limits import SECOND, Limiter, Rate
from contract.problems import Code, ProblemError
from hypothesis import given
from hypothesis import strategies as st

RATES = st.builds(Rate, count=st.integers(1, 7), seconds=st.integers(1, 90))
PAUSES = st.lists(st.integers(0, 40 * SECOND) | st.integers(0, SECOND // 10), max_size=40)
"""Nanoseconds between one attempt and the next."""


class Ticks:
    now = 0

    def __call__(self) -> int:
        return self.now


@given(rate=RATES, pauses=PAUSES)
def test_within_any_span_no_more_is_let_through_than_the_rate_allows(rate: Rate, pauses: list[int]) -> None:
    limiter = Limiter(rate, "", ticks := Ticks())
    through = []
    for pause in pauses:
        ticks.now += pause
        if not limiter.wait("key"):
            through.append(ticks.now)

    for (first, start), (last, end) in combinations(enumerate(through), 2):
        span = (end - start) / SECOND
        assert last - first + 1 <= rate.count * (1 + span / rate.seconds) + 1e-6


@given(rate=RATES, pauses=PAUSES)
def test_who_waits_as_required_gets_through_and_a_second_less_is_too_little(rate: Rate, pauses: list[int]) -> None:
    limiter = Limiter(rate, "", ticks := Ticks())
    for pause in pauses:
        ticks.now += pause
        if wait := limiter.wait("key"):
            ticks.now += (wait - 1) * SECOND
            assert limiter.wait("key")
            ticks.now += SECOND
            assert not limiter.wait("key")


@given(rate=RATES, pauses=PAUSES)
def test_as_many_get_through_as_there_are_tokens(rate: Rate, pauses: list[int]) -> None:
    limiter = Limiter(rate, "", ticks := Ticks())
    for number, pause in enumerate(pauses):
        ticks.now += pause
        tokens = limiter.tokens("key")
        if number % 3 == 0:
            assert [limiter.wait("key") > 0 for _ in range(tokens + 1)] == [False] * tokens + [True]
        else:
            assert (tokens > 0) is (limiter.wait("key") == 0)


@given(rate=RATES, pauses=PAUSES, others=st.lists(st.integers(0, 5), max_size=40))
def test_nobody_pays_for_others(rate: Rate, pauses: list[int], others: list[int]) -> None:
    alone, crowded = Limiter(rate, "", ticks := Ticks()), Limiter(rate, "", ticks)
    for pause, other in zip(pauses, others, strict=False):
        ticks.now += pause
        crowded.wait(f"other-{other}")
        assert alone.wait("key") == crowded.wait("key")


def test_after_a_quiet_time_everything_is_possible_at_once_again() -> None:
    limiter = Limiter(Rate(3, 60), "", ticks := Ticks())
    for _ in range(2):
        assert [limiter.wait("key") for _ in range(4)] == [0, 0, 0, 20]
        ticks.now += 60 * SECOND


@pytest.mark.parametrize(("count", "advice"), [(2, "Try again in 30 seconds."), (60, "Try again in 1 second.")])
def test_the_refusal_names_the_limit_and_when_it_ends(count: int, advice: str) -> None:
    limiter = Limiter(Rate(count, 60), "The limit is this.", Ticks())
    for _ in range(count):
        limiter.take("key")

    with pytest.raises(ProblemError) as refused:
        limiter.take("key")

    assert (refused.value.code, refused.value.detail) == (Code.TOO_MANY_REQUESTS, f"The limit is this. {advice}")
    assert refused.value.headers == {"Retry-After": str(60 // count)}


def test_a_million_keys_take_no_more_memory_than_it_remembers() -> None:
    limiter = Limiter(Rate(1, 60), "", Ticks(), max_keys=10)
    for one in range(1000):
        assert not limiter.wait(str(one))

    assert len(limiter._full_at) == 10  # noqa: SLF001 - memory shows nowhere else
    assert limiter.wait("999")
    assert not limiter.wait("1")


def test_who_uses_it_is_not_forgotten_before_who_does_not() -> None:
    limiter = Limiter(Rate(2, 60), "", Ticks(), max_keys=2)
    for key in ("busy", "idle", "busy", "new"):
        limiter.wait(key)

    assert limiter.wait("busy")


def test_what_is_full_again_is_forgotten() -> None:
    limiter = Limiter(Rate(1, 1), "", ticks := Ticks())
    for one in range(1000):
        limiter.wait(str(one))
    ticks.now += SECOND
    limiter.wait("another")

    assert len(limiter._full_at) == 1  # noqa: SLF001 - memory shows nowhere else
