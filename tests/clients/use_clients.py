"""A web app with generated clients: prints what it read, as JSON. The clients are beside it."""

import json
import os
from typing import Any

import connector_client
import ledger_client
from connector_client.api.integrations import list_integrations
from connector_client.api.syncs import request_sync
from connector_client.models import SyncOptions
from ledger_client.api.costs import get_breakdown, get_costs, get_coverage, get_day, get_summary
from ledger_client.models import BreakdownBy, Period

ACCOUNT = os.environ["ACCOUNT"]


def client_of(module: Any, url: str) -> Any:
    return module.AuthenticatedClient(base_url=os.environ[url], token=os.environ["TOKEN"])


def main() -> None:
    costs, connecting = client_of(ledger_client, "LEDGER_URL"), client_of(connector_client, "CONNECTOR_URL")
    days = get_costs.sync(ACCOUNT, client=costs).days
    cards = list_integrations.sync(ACCOUNT, client=connecting).integrations
    body = SyncOptions.from_dict({"trigger": "force"})
    refused = get_costs.sync(ACCOUNT, client=costs, from_=days[1].day, to=days[0].day)
    used = {
        "usd": get_summary.sync(ACCOUNT, client=costs, period=Period("30d")).usd,
        "days": [one.usd for one in days],
        "models": [one.usd for one in get_breakdown.sync(ACCOUNT, client=costs, by=BreakdownBy("model")).rows],
        "covered": [one.covered for one in get_coverage.sync(ACCOUNT, client=costs).days],
        "readings": [
            str(one.reading.reading_id) if one.reading else None
            for one in get_day.sync(ACCOUNT, days[0].day, client=costs).integrations
        ],
        "refused": refused.code,
        "integrations": [str(one.integration_id) for one in cards],
        "requested": request_sync.sync_detailed(
            ACCOUNT, cards[0].integration_id, client=connecting, body=body
        ).status_code,
    }
    print(json.dumps(used))  # noqa: T201 - a test reads it


main()
