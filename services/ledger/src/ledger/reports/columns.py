"""The columns of each export format. FOCUS: what each of them holds and why, in `docs/focus.md`."""

from enum import StrEnum
from typing import LiteralString

from ledger.store.exports import OBSERVED_AT, PROVISIONAL, Columns


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    """For spreadsheets: a text that they would take for a formula begins with an apostrophe."""
    JSON = "json"
    NDJSON = "ndjson"
    """A JSON object on each line."""
    FOCUS = "focus"
    """CSV of the FinOps Open Cost and Usage Specification: texts as they are."""


class Profile(StrEnum):
    """Version of FOCUS."""

    V1_2 = "1.2"
    V1_4 = "1.4"


def _safe(expression: LiteralString) -> LiteralString:
    """Spreadsheets evaluate a cell that begins with one of these characters."""
    return f"CASE WHEN {expression} ~ '^[=+@\\t\\r\\n-]' THEN '''' || {expression} ELSE {expression} END"


_IS_PROVISIONAL: LiteralString = f"({PROVISIONAL})::text"  # COPY writes a boolean as t or f
JSON_COLUMNS: Columns = {
    "day": "d.day",
    "integration_id": "d.integration_id",
    "integration": "i.label",
    "label": "c.label",
    "product": "c.product",
    "model": "c.model",
    "usd": "c.usd",
    "provisional": PROVISIONAL,
    "observed_at": OBSERVED_AT,
}
CSV_COLUMNS: Columns = JSON_COLUMNS | {
    "integration": _safe("i.label"),
    "label": _safe("c.label"),
    "product": _safe("c.product"),
    "model": _safe("c.model"),
    "provisional": _IS_PROVISIONAL,
}

# Type checks of readers want a decimal point.
_COST: LiteralString = "CASE WHEN strpos(c.usd, '.') = 0 THEN c.usd || '.0' ELSE c.usd END"
_MIDNIGHT: LiteralString = "'YYYY-MM-DD\"T00:00:00Z\"'"
_MONTH: LiteralString = "date_trunc('month', d.day::timestamp)"

_FOCUS: Columns = {
    "BilledCost": _COST,
    "BillingAccountId": "coalesce(i.team_id, d.integration_id::text)",
    "BillingAccountName": "i.label",
    "BillingCurrency": "'USD'",
    "BillingPeriodEnd": f"to_char({_MONTH} + interval '1 month', {_MIDNIGHT})",
    "BillingPeriodStart": f"to_char({_MONTH}, {_MIDNIGHT})",
    "ChargeCategory": "'Usage'",
    "ChargeClass": "NULL",
    "ChargeDescription": "c.label",
    "ChargeFrequency": "'Usage-Based'",
    "ChargePeriodEnd": f"to_char(d.day + 1, {_MIDNIGHT})",
    "ChargePeriodStart": f"to_char(d.day, {_MIDNIGHT})",
    "ContractedCost": _COST,
    "EffectiveCost": _COST,
    "InvoiceIssuerName": "'xAI'",
    "ListCost": _COST,
    "PricingQuantity": "NULL",
    "PricingUnit": "NULL",
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceName": "'xAI API'",
    "ServiceSubcategory": "'Generative AI'",
}
_FOCUS_OF: dict[Profile, Columns] = {
    Profile.V1_2: {"InvoiceId": "NULL", "ProviderName": "'xAI'", "PublisherName": "'xAI'"},
    Profile.V1_4: {"HostProviderName": "'xAI'", "ServiceProviderName": "'xAI'"},
}
_OURS: Columns = {
    "x_IntegrationId": "d.integration_id",
    "x_Model": "c.model",
    "x_ObservedAt": OBSERVED_AT,
    "x_Provisional": _IS_PROVISIONAL,
    "x_Reconciled": "coalesce(o.reconciled, false)::text",
    "x_Revision": "revisions.number",
}
COVERAGE = ("day", "integration_id", "covered", "observed_at")
FOCUS_COVERAGE = ("ChargePeriodStart", "x_IntegrationId", "x_Covered", "x_ObservedAt")


def focus_columns(profile: Profile) -> Columns:
    """Those of the specification in alphabetical order, then our own."""
    columns = _FOCUS | _FOCUS_OF[profile]
    return {name: columns[name] for name in sorted(columns)} | _OURS
