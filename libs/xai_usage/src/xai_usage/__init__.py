"""Client of xAI's usage endpoint: one call, exact amounts, every refusal told apart."""

from xai_usage.answer import NO_LABEL, Answer, UnreadableAnswerError, parse
from xai_usage.client import MAX_IN_FLIGHT, TeamAccess, UsageClient, client
from xai_usage.reading import RawAnswer, Reading
from xai_usage.refusals import CallFailed, CallMalformed, CallRefused, CallTransient

__all__ = [
    "MAX_IN_FLIGHT",
    "NO_LABEL",
    "Answer",
    "CallFailed",
    "CallMalformed",
    "CallRefused",
    "CallTransient",
    "RawAnswer",
    "Reading",
    "TeamAccess",
    "UnreadableAnswerError",
    "UsageClient",
    "client",
    "parse",
]
