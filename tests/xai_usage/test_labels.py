"""What a label names: the product, and the model that is the identity of what is paid for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xai_usage import model_of, product_and_model


@pytest.mark.parametrize(
    ("label", "product", "model"),
    [
        ("Chat grok-4-0709", "Chat", "grok-4-0709"),
        ("grok-4-fast-non-reasoning", None, "grok-4-fast-non-reasoning"),
        ("File Storage", None, "File Storage"),
        ("(no label)", None, "(no label)"),
        ("Chat grok-4-0709 extra", None, "Chat grok-4-0709 extra"),
    ],
)
def test_a_label_names_product_and_model_or_stays_whole(label: str, product: str | None, model: str) -> None:
    assert product_and_model(label) == (product, model)


@given(st.text())
def test_no_label_loses_anything(label: str) -> None:
    product, model = product_and_model(label)

    assert label == (f"{product} {model}" if product else model)


@pytest.mark.parametrize("label", ["Chat grok-4-0709", "API grok-4-0709", "grok-4-0709"])
def test_labels_of_one_model_have_one_identity(label: str) -> None:
    assert model_of(label) == "grok-4-0709"
