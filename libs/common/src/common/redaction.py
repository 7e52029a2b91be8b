"""Removes secrets from what is logged, by the name of a field and by the form of a value."""

import re
from collections.abc import Mapping

REDACTED = "[redacted]"
MAX_TEXT = 4096
"""Characters of one text; of a longer one the beginning and the end are kept."""

_MAX_DEPTH = 6
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_NAME = re.compile(
    r"((?<!public_)key|token|authorization|password|passwd|passphrase|secret|credential|envelope|cookie)s?"
    r"(_(value|text|header|bytes|b64|base64|hex|json))?$"
)
_SECRET_TEXTS = (
    (re.compile(r"\b(bearer\s+)[^\s\"',;]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"\b(basic\s+)[A-Za-z0-9+/=]{12,}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"xai-[A-Za-z0-9_-]{6,}", re.IGNORECASE), REDACTED),
    (re.compile(r"grafient_[A-Za-z0-9_-]{20,}"), REDACTED),  # a token of the HTTP APIs
    (re.compile(r"(://[^\s/:@]{0,256}:)[^\s\"'<>]{1,1024}@"), rf"\1{REDACTED}@"),
    (
        re.compile(
            r"((?:management_key|api_key|sealed_key|wrapped_key|ciphertext|password|passwd|secret|token)"
            r"['\"]?\s{0,4}[=:]\s{0,4}['\"]?)[^\s\"',;&}]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
)

_MARKS = ("bearer", "basic", "xai-", "grafient_", "://", "_key", "ciphertext", "password", "passwd", "secret", "token")
"""One is in every text that a pattern finds, unless letters beyond ASCII stand for its own."""


def redacted(value: object, name: str = "", depth: int = 0) -> object:
    """Copy `value`, the field called `name`, as plain JSON types without secrets; what is nested too deep is cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if is_secret_name(name):
        return REDACTED
    return "..." if depth > _MAX_DEPTH else _redacted_inside(value, depth + 1)


def _redacted_inside(value: object, depth: int) -> object:
    match value:
        case Mapping():
            return {redacted_text(str(key)): redacted(item, str(key), depth) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redacted(item, depth=depth) for item in value]
        case bytes() | bytearray():
            return redacted_text(value.decode("utf-8", "replace"))
        case _:
            return redacted_text(str(value))


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `management_key` and `apiKey` do, `key_id` and `team_id` do not."""
    words = _WORD_STARTS.sub("_", name).strip("_").lower()
    return bool(_SECRET_NAME.search(words))


def redacted_text(text: str) -> str:
    """Redact what looks like a secret, then shorten to MAX_TEXT."""
    lower = text.lower()
    if not text.isascii() or any(mark in lower for mark in _MARKS):  # a tenth of the time of the patterns
        for pattern, replacement in _SECRET_TEXTS:
            text = pattern.sub(replacement, text)
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters left out ... {text[-half:]}"
