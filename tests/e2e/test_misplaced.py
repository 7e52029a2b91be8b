"""A client without keys, or with another partitioner, loses no request; and what the services write lies where it should."""

from collections import Counter

from contract.topics import SYNC_REQUESTS
from prometheus_client.parser import text_string_to_metric_families

from tests.support.messages import sync_requested, wire
from tests.support.system import SystemClient
from tests.support.waiting import until


async def test_a_request_without_a_key_is_handled_and_counted_and_no_record_of_ours_is(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    before = await _misplaced(client)
    value, headers = wire(request := sync_requested(integration_id))

    await client.force(team, integration_id)
    await client.publish(SYNC_REQUESTS.name, None, value, dict(headers))

    assert (await client.ended(team, integration_id, request.request_id))["reconciled"]
    added = Counter({(SYNC_REQUESTS.name, "no_key"): 1})
    assert await until(lambda: _misplaced(client), lambda found: found != before) - before == added


async def _misplaced(client: SystemClient) -> Counter[tuple[str, str]]:
    """Records by topic and why, of all services."""
    found = Counter[tuple[str, str]]()
    for url in (client.address.connector_url, client.address.syncer_url, client.address.ledger_url):
        shown = (await client.http.get(f"{url}/metrics")).text
        for family in text_string_to_metric_families(shown):
            for one in family.samples:
                if one.name == "grafient_records_misplaced_total":
                    found[one.labels["topic"], one.labels["why"]] += int(one.value)
    return found
