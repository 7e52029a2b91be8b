// A web app with generated clients: prints what it read, as JSON. The clients are beside it.
import { createClient } from "./connector/client/index.ts";
import { type IntegrationEvent, followAccount, listIntegrations, requestSync } from "./connector/index.ts";
import { createClient as createLedger } from "./ledger/client/index.ts";
import { type LifeOfADay, getBreakdown, getCosts, getCoverage, getDay, getSummary } from "./ledger/index.ts";

const { CONNECTOR_URL, LEDGER_URL, TOKEN, ACCOUNT = "" } = process.env;
const connector = createClient({ baseUrl: CONNECTOR_URL, auth: TOKEN });
const ledger = createLedger({ baseUrl: LEDGER_URL, auth: TOKEN });
const account_id = ACCOUNT;

const { data: costs } = await getCosts({ client: ledger, path: { account_id } });
const { data: summary } = await getSummary({ client: ledger, path: { account_id }, query: { period: "30d" } });
const { data: breakdown } = await getBreakdown({ client: ledger, path: { account_id }, query: { by: "model" } });
const { data: coverage } = await getCoverage({ client: ledger, path: { account_id } });
const day = costs?.days[0].day ?? "";
const life: LifeOfADay | undefined = (await getDay({ client: ledger, path: { account_id, day } })).data;
const refused = await getCosts({ client: ledger, path: { account_id }, query: { from: "2026-11-02", to: "2026-11-01" } });

const { data: cards } = await listIntegrations({ client: connector, path: { account_id } });
const integration_id = cards?.integrations[0].integration_id ?? "";
const sync = await requestSync({ client: connector, path: { account_id, integration_id }, body: { trigger: "force" } });

const states: IntegrationEvent[] = [];
const { stream } = await followAccount({ client: connector, path: { account_id } });
for await (const event of stream) {
  if (event.event === "integration") states.push(event);
  if (event.event === "present") break;
}

console.log(
  JSON.stringify({
    usd: summary?.usd,
    days: costs?.days.map((one) => one.usd),
    models: breakdown?.rows.map((row) => row.usd),
    covered: coverage?.days.map((one) => one.covered),
    readings: life?.integrations.map((one) => one.reading?.reading_id),
    refused: refused.error?.code,
    integrations: cards?.integrations.map((one) => one.integration_id),
    requested: sync.response?.status,
    followed: states.map((one) => one.integration_id),
  }),
);
process.exit(0);
