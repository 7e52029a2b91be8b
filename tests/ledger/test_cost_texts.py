import json
from decimal import Decimal
from uuid import UUID

from contract.money import plain, total
from hypothesis import given
from hypothesis import strategies as st
from ledger.cost_texts import by_label, by_model

TEAM = UUID(int=7)
NAMES = st.text(max_size=4) | st.sampled_from(["grok-4", "100 % off", "%s", '"', "\\", "\x00"])
LABELS = st.lists(st.fixed_dictionaries({"label": NAMES, "model": NAMES, "product": st.none() | NAMES}), max_size=6)
USD = st.decimals(min_value=0, max_value=1000, places=3).map(plain)


@given(labels=LABELS, data=st.data())
def test_each_label_is_written_with_its_amount_and_the_integration(
    labels: list[dict[str, str | None]], data: st.DataObject
) -> None:
    amounts = data.draw(st.lists(USD, min_size=len(labels), max_size=len(labels)))

    written = by_label(TEAM, [json.dumps(one) for one in labels])(amounts)

    assert json.loads(f"[{written}]") == [
        {"integration_id": str(TEAM), "usd": usd, **label} for label, usd in zip(labels, amounts, strict=True)
    ]


@given(labels=LABELS, data=st.data())
def test_each_model_is_written_once_with_the_exact_sum_of_its_labels(
    labels: list[dict[str, str]], data: st.DataObject
) -> None:
    amounts = data.draw(st.lists(USD, min_size=len(labels), max_size=len(labels)))

    written = by_model(TEAM, [json.dumps(one) for one in labels])(amounts)

    sums = {
        model: plain(total(Decimal(usd) for label, usd in zip(labels, amounts, strict=True) if label["model"] == model))
        for model in sorted({label["model"] for label in labels})
    }
    assert json.loads(f"[{written}]") == [
        {"integration_id": str(TEAM), "usd": usd, "label": model, "model": model, "product": None}
        for model, usd in sums.items()
    ]
