"""Requests that no window answers end once, whatever is unavailable meanwhile."""

from uuid import uuid4

import pytest
from common.errors import TransientError

from tests.syncer.support.syncer import SyncerHarness


async def test_a_request_for_an_unknown_integration_ends_within_a_minute(syncer: SyncerHarness) -> None:
    integration_id = uuid4()
    request_id = await syncer.ask(integration_id)
    await syncer.request_ends.round()
    assert syncer.publisher.published == []
    await _pass(syncer, 50)

    for _ in range(2):
        await syncer.request_ends.round()

    (failure,) = syncer.failures()
    assert (failure.integration_id, failure.request_ids) == (integration_id, (request_id,))
    assert (failure.code, failure.final, failure.account_id, failure.observed_at) == ("not_found", True, None, None)


async def test_an_end_that_the_broker_refused_is_published_later_and_stays_an_end(syncer: SyncerHarness) -> None:
    integration_id = uuid4()
    request_id = await syncer.ask(integration_id)
    await _pass(syncer, 50)
    syncer.publisher.available(available=False)
    with pytest.raises(TransientError):
        await syncer.request_ends.round()

    await syncer.announce(await syncer.state(integration_id))
    syncer.publisher.available()
    await syncer.request_ends.round()

    assert [one.request_ids for one in syncer.failures()] == [(request_id,)]
    placed = await syncer.sql(
        "SELECT 1 FROM requests JOIN windows USING (window_id) WHERE request_id = :id", id=request_id
    )
    assert placed == []


async def _pass(syncer: SyncerHarness, seconds: int) -> None:
    await syncer.sql("UPDATE requests SET received_at = received_at - make_interval(secs => :by)", by=seconds)
