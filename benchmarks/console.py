"""The dashboard in a browser: how soon it is painted, of how much it is made, and the memory that it takes.

A new session each time, so that nothing is kept from the time before. Two accounts: of one integration, and of many.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import psycopg
import typer
from contract.messages import CostRecorded
from contract.topics import COSTS, INTEGRATIONS
from grafient.cli.output import Json
from grafient.cli.tables import Row
from playwright.async_api import Browser

from benchmarks.support.copied_rows import copy_rows
from benchmarks.support.cpu import memory_mb
from benchmarks.support.facts import LAST_DAY, record_of
from benchmarks.support.report import (
    Markdown,
    RefusedRunError,
    Report,
    Runs,
    machine,
    median_row,
    percentile,
    progress,
    rounded,
)
from benchmarks.support.stored_costs import FIRST_DAY, READING, TABLES, Accounts, added
from benchmarks.support.system import Running, running_system
from tests.support.browser import Visitor, chromium

EXAMPLE = "make bench ARGS='console --runs 1'"
PAGE = f"/?from={FIRST_DAY}&to={LAST_DAY}"
LOADS = 5
SMALL, LARGE = Accounts("small", 1), "large"
ACCOUNTS = "INSERT INTO connector.accounts (account_id, plan) SELECT DISTINCT unnest(%s::text[]), 'pro'"
ROWS = """
    INSERT INTO connector.integrations (integration_id, account_id, team_id, label, status, status_since, version,
        announced_version, credential_version, wrap_version, envelope, history_from, backfill_first, backfill_last,
        added_at, changed_at)
    SELECT new.id, new.account, new.id::text, 'Team ' || new.id, 'active', now(), 1, 1, 1, 1, '{}', %s, %s, %s, now(), now()
    FROM unnest(%s::uuid[], %s::text[]) new (id, account)
"""
IS_PAINTED = "() => performance.getEntriesByName('first-contentful-paint').length > 0"
PAINTED = """() => {
  const [page] = performance.getEntriesByType("navigation"), files = performance.getEntriesByType("resource");
  const code = files.filter((one) => /\\.(js|css)/.test(one.name));
  return {
    first_paint_ms: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    answer_ms: page.responseEnd,
    requests: 1 + files.length,
    page_kb: page.decodedBodySize / 1000,
    script_and_style_kb: code.reduce((sum, one) => sum + one.decodedBodySize, 0) / 1000,
  };
}"""


def console(
    *,
    integrations: Annotated[int, typer.Option(min=1, help="Of the large account, with 20 labels and 90 days.")] = 200,
    runs: Runs = 3,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """First paint, requests and bytes of the dashboard, and the memory of the console and the ledger."""
    asyncio.run(measure(integrations, runs)).show(as_json=as_json, markdown=markdown)


async def measure(integrations: int, runs: int) -> Report:
    settings = machine() | {"integrations": integrations, "runs": runs, "loads": LOADS}
    async with running_system() as running, chromium() as browser:
        rows = await measure_on(running, browser, integrations, runs)
    return Report("The console's dashboard", rows, settings)


async def measure_on(running: Running, browser: Browser, integrations: int, runs: int) -> list[Row]:
    """The small account, then the large one, `runs` times."""
    await store(running, [SMALL, Accounts(LARGE, 1, integrations)])
    for name in (SMALL.prefix, LARGE):
        await load(running, browser, f"{name}-0")  # warm
    found = [[await _row(running, browser, name) for name in (SMALL.prefix, LARGE)] for _ in range(runs)]
    return [median_row(rows) for rows in zip(*found, strict=True)]


async def store(running: Running, accounts: Sequence[Accounts]) -> None:
    """READING for every integration of `accounts`, as the ledger stores it, and their cards."""
    (first, *_) = READING.records()
    await running.broker.fill(COSTS, READING.records())
    original = CostRecorded.model_validate_json(first.value)
    message = added(first.value)
    record = record_of(message, str(message.integration_id), "added", "benchmark", message.added_at)
    await running.broker.fill(INTEGRATIONS, [record])
    while await running.broker.left("ledger", COSTS) or await running.broker.left("ledger", INTEGRATIONS):
        await asyncio.sleep(0.05)
    copies = [row for one in accounts for row in one.rows()]
    row = {"integration_id": original.integration_id, "account_id": original.account_id}
    await copy_rows(running.dsn, "ledger", TABLES, row, copies)
    ids, names = ([one[name] for one in copies] for name in ("integration_id", "account_id"))
    async with await psycopg.AsyncConnection.connect(running.dsn) as connection:
        await connection.execute(ACCOUNTS, [names])
        await connection.execute(ROWS, [FIRST_DAY, FIRST_DAY, LAST_DAY, ids, names])


async def _row(running: Running, browser: Browser, name: str) -> Row:
    ledger = running.pids()["ledger"]
    before = memory_mb(ledger)
    loads = [await load(running, browser, f"{name}-0") for _ in range(LOADS)]
    medians = {field: rounded(percentile([one[field] for one in loads], 0.5)) for field in loads[0]}
    progress(f"{name}: first paint after {medians['first_paint_ms']} ms")
    return {
        "account": name,
        **medians,
        "console_mb": rounded(memory_mb(running.pids()["console"])),
        "ledger_growth_mb": rounded(memory_mb(ledger) - before),
    }


async def load(running: Running, browser: Browser, account_id: str) -> dict[str, float]:
    """What the browser has measured of one load of the dashboard, with nothing kept from before."""
    visitor = Visitor(browser)
    page = await visitor.page(base_url=running.system.url_of("console"))
    await page.goto(running.system.console_link(account_id))
    await page.get_by_role("button", name="Open my costs").click()
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Network.clearBrowserCache")
    await page.goto(PAGE, wait_until="load")
    if "USD" not in await page.inner_text("main") and "$" not in await page.inner_text("main"):
        raise RefusedRunError("the dashboard shows no costs")
    await page.wait_for_function(IS_PAINTED)  # a page may be loaded before its first paint
    painted: dict[str, float] = await page.evaluate(PAINTED)
    await visitor.leave()
    return painted
