"""What a customer sees instead of a page."""

from http import HTTPStatus


class PageError(Exception):
    """Shown as a page: what is the matter, and the next step."""

    def __init__(self, status: int, title: str, detail: str, hints: tuple[str, ...] = ()) -> None:
        super().__init__(title)
        self.status = HTTPStatus(status)
        self.title = title
        self.detail = detail
        self.hints = hints


class UpstreamError(PageError):
    """Connector or ledger refused, or did not answer: its own sentences, and `code`."""

    def __init__(self, status: int, code: str, title: str, detail: str, hints: tuple[str, ...] = ()) -> None:
        super().__init__(status, title, detail, hints)
        self.code = code


def no_session() -> PageError:
    """There is no session."""
    return PageError(
        HTTPStatus.UNAUTHORIZED,
        "Open your costs from your product",
        "Its link opens them for 8 hours. In this browser there is no session, or it is over.",
    )


def not_found() -> PageError:
    """There is no such page, or it is another account's."""
    return PageError(
        HTTPStatus.NOT_FOUND, "There is no such page", "The address is mistyped, or what it showed was removed."
    )
