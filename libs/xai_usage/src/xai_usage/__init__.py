"""Client of xAI's usage endpoint: one call, exact amounts, every refusal told apart."""

from xai_usage.answer import NO_LABEL, Answer, UnreadableAnswerError, parse
from xai_usage.client import MAX_IN_FLIGHT, Access, UsageClient, client
from xai_usage.reading import RawAnswer, Reading
from xai_usage.refusals import CallFailed, CallMalformed, CallRefused, CallTransient

__all__ = [
    "MAX_IN_FLIGHT",
    "NO_LABEL",
    "Access",
    "Answer",
    "CallFailed",
    "CallMalformed",
    "CallRefused",
    "CallTransient",
    "RawAnswer",
    "Reading",
    "UnreadableAnswerError",
    "UsageClient",
    "client",
    "parse",
]
