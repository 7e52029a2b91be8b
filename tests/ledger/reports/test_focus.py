"""The static rules of FOCUS, walked over real exports: columns, nulls, allowed values, forms, and what belongs together."""

import csv
import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from ledger.reports.columns import Profile

from tests.ledger.support.ledger import LedgerHarness
from tests.ledger.support.random_accounts import ACCOUNTS, fill
from tests.support.messages import ACCOUNT

COSTS = {"BilledCost", "ContractedCost", "EffectiveCost", "ListCost"}
PERIODS = {f"{kind}Period{end}" for kind in ("Billing", "Charge") for end in ("Start", "End")}
MANDATORY = (
    COSTS
    | PERIODS
    | {
        "BillingAccountId",
        "BillingAccountName",
        "BillingCurrency",
        "ChargeCategory",
        "ChargeClass",
        "ChargeDescription",
        "InvoiceIssuerName",
        "PricingQuantity",
        "PricingUnit",
        "ServiceCategory",
        "ServiceName",
    }
)
RECOMMENDED = {"ChargeFrequency", "ServiceSubcategory"}
MORE = {
    Profile.V1_2: {"ProviderName", "PublisherName", "InvoiceId"},
    Profile.V1_4: {"HostProviderName", "ServiceProviderName"},
}
NULL = {"ChargeClass", "InvoiceId", "PricingQuantity", "PricingUnit"}
"""Always: nothing is known of corrections, invoices and quantities. 1.2 wants a quantity for usage: docs/focus.md."""
ALLOWED = {
    "BillingCurrency": {"USD"},
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing"},
}
"""Of the categories of services only ours, with the subcategories that belong to it."""
AMOUNT = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,40}")
MIDNIGHT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z")
NAME = re.compile(r"(x_)?([A-Z][a-z]+)+")
RULES: dict[str, Callable[[dict[str, str]], bool]] = {
    "costs are decimals with a point": lambda row: all(AMOUNT.fullmatch(row[name]) for name in COSTS),
    "costs are one amount": lambda row: len({Decimal(row[name]) for name in COSTS}) == 1,
    "periods begin and end at midnight UTC": lambda row: all(MIDNIGHT.fullmatch(row[name]) for name in PERIODS),
    "the billing period is a month": lambda row: (
        row["BillingPeriodStart"][8:10] == row["BillingPeriodEnd"][8:10] == "01"
    ),
    "the charge is in its billing period": lambda row: (
        row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
    ),
    "what is unknown is null": lambda row: not any(row.get(name) for name in NULL),
    "values are allowed ones": lambda row: all(row[name] in values for name, values in ALLOWED.items()),
}


@pytest.mark.parametrize("profile", Profile)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(account=ACCOUNTS)
async def test_an_export_keeps_the_static_rules(
    ledger: LedgerHarness, http: httpx.AsyncClient, profile: Profile, account: Any
) -> None:
    await fill(ledger, account)
    query = {"format": "focus", "profile": profile.value, "period": "90d"}
    answer = await http.get(f"/v1/accounts/{ACCOUNT}/export", params=query)
    table = csv.DictReader(io.StringIO(answer.text, newline=""))
    names = list(table.fieldnames or ())

    assert {name for name in names if not name.startswith("x_")} == MANDATORY | RECOMMENDED | MORE[profile]
    assert names == sorted(names, key=lambda name: (name.startswith("x_"), name))
    assert [name for name in names if not NAME.fullmatch(name)] == []
    for row in table:
        assert [name for name in names if not row[name] and name not in NULL | {"ChargeDescription"}] == []
        assert [rule for rule, holds in RULES.items() if not holds(row)] == []
