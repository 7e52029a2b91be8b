"""Why the embedded stack does not start."""

from common.errors import UnreachableError, UserError


class StartError(UserError):
    """A part of the stack did not start; the text has the end of its log."""


class FetchError(UnreachableError):
    """What is needed could not be fetched; the sentence names it and the next step."""
