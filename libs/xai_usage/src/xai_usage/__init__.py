"""Client of xAI's usage endpoint: one call, exact amounts, every failure classified."""

from xai_usage.answer import NO_LABEL, TICK, Answer, OtherDaysError, UnreadableAnswerError, parse
from xai_usage.client import ROUTE, TeamAccess, UsageClient, client
from xai_usage.failures import CallFailed, CallMalformed, CallOtherDays, CallRefused, CallTransient
from xai_usage.labels import model_of, product_and_model
from xai_usage.reading import RawAnswer, Reading

__all__ = [
    "NO_LABEL",
    "ROUTE",
    "TICK",
    "Answer",
    "CallFailed",
    "CallMalformed",
    "CallOtherDays",
    "CallRefused",
    "CallTransient",
    "OtherDaysError",
    "RawAnswer",
    "Reading",
    "TeamAccess",
    "UnreadableAnswerError",
    "UsageClient",
    "client",
    "model_of",
    "parse",
    "product_and_model",
]
