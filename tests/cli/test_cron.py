"""The cron emitter asks once for each day, however often and however late it runs."""

from datetime import UTC, date, datetime, timedelta

import pytest
from common.errors import TransientError
from contract.messages import SyncRequested
from contract.topics import ALL, Topic
from grafient import cron
from grafient.cron import daily_date, daily_request, emit

NOW = datetime(2026, 11, 20, 6, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 11, 20, 5, 59, 59, tzinfo=UTC), date(2026, 11, 19)),
        (datetime(2026, 11, 20, 6, 0, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2028, 3, 1, 3, 0, tzinfo=UTC), date(2028, 2, 29)),
    ],
)
def test_the_day_is_the_last_one_after_its_six_oclock(now: datetime, day: date) -> None:
    assert daily_date(now) == day


def test_two_emitters_make_one_request_for_whoever_is_connected() -> None:
    first, second = (daily_request(date(2026, 11, 20), NOW + timedelta(minutes=late)) for late in (0, 90))
    assert first.request_id == second.request_id == "daily:2026-11-20"
    assert (first.requested_at, first.integration_id) == (NOW, None)


class FlakyPublisher:
    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.published: list[tuple[str, SyncRequested, str, str]] = []

    async def publish(self, topic: Topic, message: SyncRequested, *, key: str, event_id: str, at: datetime) -> None:
        assert at == message.requested_at
        if self.failures:
            self.failures -= 1
            raise TransientError("the broker is unavailable")
        self.published.append((topic.name, message, key, event_id))


async def test_an_unavailable_broker_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "RETRY_AFTER", 0)
    publisher = FlakyPublisher(failures=2)

    request = daily_request(date(2026, 11, 20), NOW)

    await emit(publisher, request)  # type: ignore[arg-type]  # it has the method that is used

    assert publisher.published == [("xai.sync-requests.v1", request, ALL, "daily:2026-11-20")]
