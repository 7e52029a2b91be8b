"""Why a command has no effect, in sentences for people. Never a value of the command: it may be a key in the clear."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from common.kafka.failure_policy import UNKNOWN
from contract.cloudevents import CloudEvent, MalformedError, Record, body_of
from contract.fields import AccountId, History, Plan, RequestId
from contract.messages import AddIntegration, Command, ReplaceCredential
from contract.problems import Code, ProblemError, cause_of
from contract.topics import COMMANDS_TOPIC
from pydantic import TypeAdapter, ValidationError

from connector.commands.inbox import Rejection
from connector.domain import COMMAND_VALID_FOR, exposes_key, holds_xai_key, looks_sealed, waits_too_long

AGAIN = "Send the command again, with a new command ID."
TOO_LONG = f"expires_at is more than {COMMAND_VALID_FOR.days} days ahead: choose a nearer instant. {AGAIN}"
FIELDS = {
    "command_id": "1 to 200 characters, none of them a control character",
    "account_id": "1 to 64 of A-Z, a-z, 0-9, underscore, full stop and hyphen",
    "expires_at": "an instant with its offset, such as 2026-11-24T12:00:00Z",
    "team_id": "the Team ID as text",
    "label": "1 to 256 characters, not blank, none of them a control character",
    "plan": f"one of {', '.join(Plan)}",
    "sealed_key": "the sealed key as text",
    "integration_id": "the integration's UUID, from the result of AddIntegration",
    "history": f"one of {', '.join(History)}",
}
"""What each field of a command has to be."""
DETAILS = {
    Code.UNSEALABLE: (
        "sealed_key cannot be opened: it does not have the documented form, or it was sealed for another command, "
        "account or environment, or to a public key that is no longer used. Fetch the sealing key, seal the key again "
        "for this account and a new command ID, and send the command with that ID."
    ),
    Code.NOT_FOUND: (
        "integration_id names no integration of this account: it was removed, or belongs to another account. "
        "Choose one of the account's list of integrations."
    ),
    Code.EXPIRED: (
        "The command was not handled before its expires_at, so it had no effect. "
        "Send it again, with a new command ID and a later expires_at."
    ),
    Code.INTERNAL: (
        "The command failed for a reason of ours, which was logged, and had no effect. "
        f"{AGAIN} If that fails too, contact the operator."
    ),
}
"""Where a code's own sentence is about HTTP."""
_INTEGRATION_ID = TypeAdapter(UUID)
_IDS: dict[str, TypeAdapter[str]] = {"account_id": TypeAdapter(AccountId), "command_id": TypeAdapter(RequestId)}


class Sender(NamedTuple):
    """To whom a result is addressed."""

    account_id: str
    command_id: str


def detail_of(problem: ProblemError) -> str:
    """The problem in sentences that can be read alone: what it is, the next step, and what to check first."""
    cause = cause_of(problem.code)
    sentences = f"{cause.title}. {problem.detail}"
    if problem.detail == cause.detail:
        sentences = DETAILS.get(problem.code, sentences)
    hints: Any = problem.extra.get("hints", ())
    return " ".join((sentences, *hints))


def on_arrival(command: Command, now: datetime) -> Rejection | None:
    """Why the command is not even stored: its key may be in the clear, or it is valid for too long."""
    integration_id = getattr(command, "integration_id", None)
    if isinstance(command, AddIntegration | ReplaceCredential) and not looks_sealed(command.sealed_key):
        code = Code.KEY_EXPOSED if exposes_key(command.sealed_key) else Code.UNSEALABLE
        return Rejection(code, detail_of(ProblemError(code)), integration_id)
    if waits_too_long(command.expires_at, now):
        return Rejection(Code.REQUEST_MALFORMED, TOO_LONG, integration_id)
    return None


def sender_of(record: Record, error: MalformedError) -> Sender | None:
    """Who waits for the result of what cannot be read; None where that cannot be read either.

    The body names the sender. Where only the body is broken, the envelope does, too: by its ID and the record's key.
    """
    sources = (_members(record), _envelope(record) if error.reason == "body_malformed" else {})
    account_id, command_id = (_first_valid(name, sources) for name in ("account_id", "command_id"))
    if account_id is None or command_id is None or holds_xai_key(f"{account_id}\n{command_id}"):
        return None
    return Sender(account_id, command_id)


def of_unreadable(record: Record, error: MalformedError) -> Rejection:
    """The rejection of what cannot be read; it names the integration where the command does."""
    members = _members(record)
    code = _code_of(record, error, members)
    detail = f"{_what_is_wrong(error)} {AGAIN}" if code is Code.REQUEST_MALFORMED else detail_of(ProblemError(code))
    integration_id: UUID | None = None
    with suppress(ValidationError):
        integration_id = _INTEGRATION_ID.validate_python(members.get("integration_id"))
    return Rejection(code, detail, integration_id)


def _code_of(record: Record, error: MalformedError, members: Mapping[str, Any]) -> Code:
    if error.reason == UNKNOWN:
        return Code.INTERNAL
    if _exposes_key(record, members):
        return Code.KEY_EXPOSED
    is_team = error.fields == ("team_id",) and isinstance(members.get("team_id"), str)
    return Code.TEAM_MALFORMED if is_team else Code.REQUEST_MALFORMED


def _what_is_wrong(error: MalformedError) -> str:
    if error.reason == "type_unknown":
        return f"ce_type is none of {', '.join(COMMANDS_TOPIC.types)}."
    names = dict.fromkeys(field.partition(".")[0] for field in error.fields)
    if wrong := [f"{name} is missing or wrong: it has to be {FIELDS[name]}." for name in names if name in FIELDS]:
        return " ".join(wrong)
    if error.reason == "body_malformed" and not any(names):
        return "The record's value is not a JSON object in UTF-8."
    return f"The record is not a command in a CloudEvent: {error.detail}."


def _members(record: Record) -> Mapping[str, Any]:
    """The members of the body, by a parser that is laxer than the models' own; none where it is no JSON object."""
    with suppress(MalformedError, ValueError, RecursionError):
        body = json.loads(body_of(record))
        return body if isinstance(body, dict) else {}
    return {}


def _envelope(record: Record) -> Mapping[str, object]:
    event_id: object = dict(record.headers).get("ce_id")
    if event_id is None:
        with suppress(ValidationError):
            event_id = CloudEvent.model_validate_json(record.value or b"").id
    return {"account_id": record.key, "command_id": event_id}


def _first_valid(name: str, sources: Iterable[Mapping[str, object]]) -> str | None:
    for source in sources:
        with suppress(ValidationError):
            return _IDS[name].validate_python(source.get(name))
    return None


def _exposes_key(record: Record, members: Mapping[str, Any]) -> bool:
    """Whether a key is in the clear: in the field of the sealed one, in the one that HTTP has for it, or anywhere."""
    sealed, clear = members.get("sealed_key"), members.get("management_key")
    if isinstance(sealed, str) and not looks_sealed(sealed) and exposes_key(sealed):
        return True
    return bool(clear) or holds_xai_key((record.value or b"").decode("utf-8", "replace"))
