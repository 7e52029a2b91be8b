"""Why the embedded stack does not start."""


class StartError(Exception):
    """A part of the stack did not start; the text has the end of its log."""


class FetchError(Exception):
    """What is needed could not be fetched; the sentence names it and the next step."""
