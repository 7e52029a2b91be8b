"""What xAI's labels name. Pure."""

import re

_PRODUCT_AND_MODEL = re.compile(r"([A-Z][A-Za-z]*) (\S*-\S*)")


def product_and_model(label: str) -> tuple[str | None, str]:
    """The kind of product and the model that a label names: `Chat grok-4-0709` is (`Chat`, `grok-4-0709`).

    A label that does not fit stays whole: `File Storage` is (None, `File Storage`).
    """
    fit = _PRODUCT_AND_MODEL.fullmatch(label)
    return (fit[1], fit[2]) if fit else (None, label)


def model_of(label: str) -> str:
    """The identity of what is paid for: `Chat grok-4-0709`, `API grok-4-0709` and `grok-4-0709` are one model."""
    return product_and_model(label)[1]
