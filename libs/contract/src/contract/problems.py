"""Every code that a person or a program can see, with title and next step; RFC 9457 problems are made of them."""

from dataclasses import dataclass

from contract.open_enum import OpenEnum


class Code(OpenEnum):
    """Stable codes, the same in HTTP problems, events, card status, logs and metrics."""

    # causes of a failed call to xAI
    KEY_REFUSED = "key_refused"
    ACCESS_DENIED = "access_denied"
    TEAM_UNKNOWN = "team_unknown"
    TEAM_MALFORMED = "team_malformed"
    KEY_MALFORMED = "key_malformed"
    REQUEST_REFUSED = "request_refused"
    RATE_LIMITED = "rate_limited"
    XAI_UNAVAILABLE = "xai_unavailable"
    ANSWER_UNREADABLE = "answer_unreadable"
    # states and results of the system itself
    ALREADY_CONNECTED = "already_connected"
    NOT_FOUND = "not_found"
    NOT_RECONCILED = "not_reconciled"
    ANSWER_CUT = "answer_cut"
    ANSWER_QUESTIONED = "answer_questioned"
    OUT_OF_RANGE = "out_of_range"
    FRESH = "fresh"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNSEALABLE = "unsealable"
    KEY_EXPOSED = "key_exposed"
    KEY_UNAVAILABLE = "key_unavailable"
    # results of operators' commands
    WINDOW_ENDED = "window_ended"
    WINDOW_DECIDED = "window_decided"
    WINDOW_IN_HAND = "window_in_hand"
    # HTTP only
    REQUEST_MALFORMED = "request_malformed"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code's name, not a secret
    SCOPE_MISSING = "scope_missing"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported"
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TOO_SLOW = "request_too_slow"
    TOO_MANY_REQUESTS = "too_many_requests"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Cause:
    """A code in words: a short title and the next step."""

    title: str
    detail: str
    status: int
    """HTTP status of the problem that carries this code."""


CAUSES: dict[Code, Cause] = {
    Code.KEY_REFUSED: Cause(
        "xAI does not accept this key",
        "It was mistyped, has expired or was revoked, belongs to another team, or its allowed IP ranges leave out our "
        "address. If this is a key for chat completions: those do not work here. Create a Management API key under "
        "Settings > Management Keys in the xAI Console (that needs the permission Management Keys), with the scope "
        "Billing: Read Only, and paste it whole.",
        422,
    ),
    Code.ACCESS_DENIED: Cause(
        "The key may not read this team's costs",
        "The key lacks the scope Billing: Read Only, has expired, belongs to another team, its allowed IP ranges leave "
        "out our address, or the person who created it is no Team Admin or lacks the permission Management Keys. If "
        "this is a key for chat completions: those do not work here. Check the key under Settings > Management Keys in "
        "the xAI Console.",
        422,
    ),
    Code.TEAM_UNKNOWN: Cause(
        "xAI finds no such team for this key",
        "Copy the Team ID from Settings in the xAI Console. If it is right, the key belongs to another team, the team "
        "was deleted, or you left it. If this is a key for chat completions: those do not work here.",
        422,
    ),
    Code.TEAM_MALFORMED: Cause(
        "This is not a Team ID",
        "A Team ID is a UUID such as 3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f: copy it from Settings in the xAI Console.",
        422,
    ),
    Code.KEY_MALFORMED: Cause(
        "This is not a key",
        "A Management API key is one word of letters, digits and signs: copy it without spaces, quotes or line breaks.",
        422,
    ),
    Code.REQUEST_REFUSED: Cause(
        "xAI refused the request",
        "xAI did not say whether Team ID or key is wrong: check both in the xAI Console, copied whole.",
        422,
    ),
    Code.RATE_LIMITED: Cause(
        "xAI limits the rate of requests",
        "Too many requests used this team's keys. Try again in a minute; this proves nothing about the key.",
        422,
    ),
    Code.XAI_UNAVAILABLE: Cause(
        "xAI is unavailable",
        "xAI does not answer, or something on the way refused the call. This proves nothing about the key: try again soon, "
        "and if it lasts, check Team ID and key.",
        422,
    ),
    Code.ANSWER_UNREADABLE: Cause(
        "xAI sent an unexpected answer",
        "The answer did not have the documented form, so it was not used. Try again later, or contact support.",
        422,
    ),
    Code.ALREADY_CONNECTED: Cause(
        "This team is already connected",
        "The account has an integration of this team, and a team is counted once: replace the key there, or remove one.",
        409,
    ),
    Code.NOT_FOUND: Cause(
        "Not found", "Check account, ID and path: it does not exist, was removed, or belongs to another account.", 404
    ),
    Code.NOT_RECONCILED: Cause(
        "Some days do not add up yet",
        "The ledger does not hold all that was read. Missing days are read again automatically: no action is needed.",
        409,
    ),
    Code.ANSWER_CUT: Cause(
        "xAI answered only in part",
        "xAI cut its answer even for a single day, so the day was not stored. It is read again automatically.",
        502,
    ),
    Code.ANSWER_QUESTIONED: Cause(
        "xAI reports less than before",
        "The answer was not believed at once: the costs shown remain, and xAI is asked again. No action is needed.",
        409,
    ),
    Code.OUT_OF_RANGE: Cause(
        "These days are too old", "xAI answers for the last 90 days only. Request newer days.", 422
    ),
    Code.FRESH: Cause(
        "The figures are fresh",
        "The costs were read less than 15 minutes ago, so xAI was not called again. Force Sync calls it anyway.",
        409,
    ),
    Code.CANCELLED: Cause(
        "The sync was cancelled",
        "An operator cancelled it before xAI was called. Missing days are read automatically, or now by Force Sync.",
        409,
    ),
    Code.EXPIRED: Cause("Expired", "It arrived too late, so it had no effect. Send it again, with a new ID.", 410),
    Code.UNSEALABLE: Cause(
        "The sealed key cannot be opened",
        "It was sealed for another account or command, or to an unknown key. Fetch the sealing key and seal again.",
        422,
    ),
    Code.KEY_EXPOSED: Cause(
        "The key was not sealed",
        "It was sent in the clear on a topic: revoke it in the xAI Console, create a new one, and seal that one.",
        422,
    ),
    Code.KEY_UNAVAILABLE: Cause(
        "The stored key cannot be opened",
        "The fault is on our side, and an operator has to repair it: you need do nothing.",
        503,
    ),
    Code.WINDOW_ENDED: Cause(
        "The window has ended",
        "Its outcome is published and cannot be changed. Missing days are read automatically, or now by Force Sync.",
        409,
    ),
    Code.WINDOW_DECIDED: Cause(
        "The result of the window is decided",
        "Its outcome is being published, without another call to xAI. No action is needed.",
        409,
    ),
    Code.WINDOW_IN_HAND: Cause(
        "The window is being read",
        "A call to xAI is in progress. Try again in half a minute: by then the window has ended or waits again.",
        409,
    ),
    Code.REQUEST_MALFORMED: Cause(
        "The request is malformed", "A field is missing or has the wrong form; errors names it.", 422
    ),
    Code.TOKEN_REFUSED: Cause(
        "The token is not accepted",
        "Send Authorization: Bearer <token> with a live token that the operator issued.",
        401,
    ),
    Code.SCOPE_MISSING: Cause(
        "The token may not do this", "Ask the operator for a token with the scope that the request needs.", 403
    ),
    Code.METHOD_NOT_ALLOWED: Cause("The method is not allowed", "Use one of the methods in the header Allow.", 405),
    Code.CONTENT_TYPE_UNSUPPORTED: Cause(
        "The body is not declared as JSON", "Send it with the header Content-Type: application/json.", 415
    ),
    Code.REQUEST_TOO_LARGE: Cause("The request is too large", "Send at most 64 KiB.", 413),
    Code.REQUEST_TOO_SLOW: Cause(
        "The request was too slow", "Its body did not arrive in time. Nothing was changed: send it again.", 408
    ),
    Code.TOO_MANY_REQUESTS: Cause(
        "Too many requests", "Wait for the seconds in the header Retry-After, then try again.", 429
    ),
    Code.UNAVAILABLE: Cause("A part of the service is unavailable", "Nothing was changed. Try again in a moment.", 503),
    Code.INTERNAL: Cause("Internal error", "It was logged. Try again; if it persists, contact the operator.", 500),
}


UNKNOWN = Cause(
    "Something that this version does not know", "A newer version of a service reports it: update this one.", 500
)


def cause_of(code: Code) -> Cause:
    """The words of `code`; of one that is newer than this version, words that say so."""
    return CAUSES.get(code, UNKNOWN)


class ProblemError(Exception):
    """What an HTTP route raises; it becomes `application/problem+json` with the code's title, detail and status."""

    def __init__(
        self,
        code: Code,
        detail: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **extra: object,
    ) -> None:
        """`detail` replaces the code's own sentence; `extra` are further members of the problem (never a secret)."""
        super().__init__(code.value)
        self.code = code
        self.detail = detail or cause_of(code).detail
        self.headers = headers or {}
        self.extra = extra


def members(code: Code, detail: str | None = None) -> dict[str, object]:
    """The members of an RFC 9457 problem; `detail` replaces the code's own sentence."""
    cause = cause_of(code)
    return {
        "type": f"urn:grafient:problem:{code.value}",
        "title": cause.title,
        "status": cause.status,
        "detail": detail or cause.detail,
        "code": code.value,
    }
