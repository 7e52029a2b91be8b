"""Sessions: a signed cookie that names an account and a right; nothing of it is stored."""

import hashlib
import hmac
import secrets as random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, cast

from fastapi import Depends, Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from console.errors import PageError, no_session
from console.links import Link, Right

COOKIE = "grafient_session"
LIFETIME = timedelta(hours=8)
FORM_FIELD = "form_token"
"""Of every form that changes something."""
_SALT = "grafient.console.session.v1"


@dataclass(frozen=True, slots=True)
class Session:
    """Who looks, and what they may do."""

    account_id: str
    right: Right
    form_token: str
    """Random; what a form sends back is compared with it, so that no other site can send one."""

    @property
    def routes(self) -> str:
        """Where the routes of the account begin, of connector and ledger alike."""
        return f"/v1/accounts/{self.account_id}"

    @property
    def may_manage(self) -> bool:
        return self.right is Right.MANAGE


class Sessions:
    """Writes and reads the cookie, signed with the secrets of links, the current one first; `secure`: over TLS only."""

    def __init__(self, secrets: Callable[[], Sequence[bytes]], *, secure: bool) -> None:
        self._secrets = secrets
        self._secure = secure

    def begin(self, link: Link, response: Response) -> None:
        """Make `response` set the cookie of a new session."""
        session = Session(link.account_id, link.right, random.token_urlsafe(24))
        response.set_cookie(
            COOKIE,
            self._serializer().dumps(asdict(session)),
            max_age=int(LIFETIME.total_seconds()),
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def end(self, response: Response) -> None:
        """Make `response` delete the cookie."""
        response.delete_cookie(COOKIE, secure=self._secure, httponly=True, samesite="lax")

    def of(self, request: Request) -> Session | None:
        """The session of a request; None where there is none, or it is over."""
        return self.of_cookie(request.cookies.get(COOKIE, ""))

    def of_cookie(self, text: str) -> Session | None:
        """The same, by the cookie's value."""
        try:
            kept = self._serializer().loads(text, max_age=int(LIFETIME.total_seconds()))
        except BadSignature:
            return None
        return Session(kept["account_id"], Right(kept["right"]), kept["form_token"])

    def _serializer(self) -> URLSafeTimedSerializer:
        keys = [hmac.digest(secret, _SALT.encode(), "sha256") for secret in reversed(self._secrets())]
        signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(keys, _SALT, signer_kwargs=signing)


def signed_in(request: Request) -> Session:
    """A dependency of every page; raises PageError."""
    session = cast("Session | None", request.app.state.sessions.of(request))
    if session is None:
        raise no_session()
    return session


async def may_manage(request: Request, session: Annotated[Session, Depends(signed_in)]) -> Session:
    """A dependency of everything that changes something; raises PageError."""
    sent = (await request.form()).get(FORM_FIELD)
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), session.form_token.encode()):
        raise PageError(
            403, "Nothing was changed", "The form was too old, or came from another site. Load the page again."
        )
    if not session.may_manage:
        raise PageError(403, "This link lets you look", "Changing something needs a link with the right to manage.")
    return session


Viewer = Annotated[Session, Depends(signed_in)]
Manager = Annotated[Session, Depends(may_manage)]
