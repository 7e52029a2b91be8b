"""What running services export and log is what `docs/metrics.md` lists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from grafient.documents.operators.events import MEANINGS
from grafient.documents.operators.metrics import metric_rows
from prometheus_client.parser import text_string_to_metric_families

from tests.support.system import SystemClient

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.+?)` \| ([\w, ]+) \|", PAGE, re.MULTILINE)
METRICS = {name: kind for name, kind in ROWS if name.startswith("grafient_")}
EVENTS = {name: levels.lower().split(", ") for name, levels in ROWS if name in MEANINGS}
OURS = ("common.", "connector.", "syncer.", "ledger.", "console.", "grafient.")
"""Loggers."""


async def test_running_services_export_and_log_what_the_page_lists(client: SystemClient) -> None:
    team, integration_id = await client.connected_team()
    await client.force(team, integration_id)

    for service in ("connector", "syncer", "ledger", "console"):
        url = urlsplit(getattr(client.address, f"{service}_url"))
        shown = (await client.http.get(f"{url.scheme}://{url.netloc}/metrics")).text
        listed = {row.name: row.type for row in metric_rows() if service in row.services}
        assert dict(_exported(shown)) == listed, service
        assert listed.items() <= METRICS.items()

    seen = set(_logged(client.system.logs))
    assert {"service.started", "window.published", "integration.announced"} <= {event for event, _ in seen}
    assert [one for one in seen if not _is_listed(*one)] == []


def _exported(shown: str) -> Iterator[tuple[str, str]]:
    """Of ours: the name as the page has it, and the type."""
    for family in text_string_to_metric_families(shown):
        if family.name.startswith("grafient_") and family.type != "unknown":
            suffix = "_total" if family.type == "counter" else ""
            yield family.name.removesuffix(suffix) + suffix, family.type


def _logged(folder: Path) -> Iterator[tuple[str, str]]:
    """Event and level of each line that the system wrote itself."""
    for log in folder.glob("*.log"):
        for line in log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if str(entry.get("logger", "")).startswith(OURS):
                yield entry["event"], entry["level"]


def _is_listed(event: str, level: str) -> bool:
    forms = {re.sub(r"<\w+>", "[a-z_]+", name): listed for name, listed in EVENTS.items()}
    return any(re.fullmatch(form, event) and level in listed for form, listed in forms.items())
