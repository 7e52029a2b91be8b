"""An example of every message; every value is made up."""

from typing import Any

from contract.messages import (
    INTEGRATION_STATES,
    AddIntegration,
    ChangePlan,
    CommandRejected,
    CommandSucceeded,
    CostRecorded,
    CredentialSealed,
    IntegrationRemoved,
    Message,
    RemoveIntegration,
    RenameIntegration,
    ReplaceCredential,
    SyncCompleted,
    SyncFailed,
    SyncRequested,
    WindowRead,
)
from contract.problems import CAUSES, Code

INTEGRATION = "3f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
TEAM = "9d2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
READING = "7f2b8c1e-5d47-4e9a-9c36-0a1b2c3d4e5f"
FIRST, LAST = "2026-11-19", "2026-11-20"
AT, EXPIRES = "2026-11-20T06:00:00.000000Z", "2026-11-20T07:00:00.000000Z"
SEALED = "v1.sealing-1.b2J2aW91c2x5LWZha2U.b2J2aW91c2x5LWZha2U"

_owner = {"account_id": "acme", "integration_id": INTEGRATION}
_command = {"account_id": "acme", "expires_at": EXPIRES}
_window = _owner | {"first_day": FIRST, "last_day": LAST, "trigger": "force", "request_ids": ["sync-1"]}
_read = _window | {"credential_version": 1, "reading_id": READING, "observed_at": AT}
_state = _owner | {
    "team_id": TEAM,
    "label": "Research",
    "plan": "pro",
    "status": "active",
    "version": 2,
    "credential_version": 1,
    "added_at": AT,
    "history_from": "2026-08-23",
    "changed_at": AT,
}
_removed = {"status": "removed", "version": 3, "history": "keep", "removed_at": EXPIRES}

EXAMPLES: dict[type[Message], dict[str, Any]] = {
    AddIntegration: _command
    | {"command_id": "add-1", "team_id": TEAM, "label": "Research", "plan": "pro", "sealed_key": SEALED},
    ReplaceCredential: _command | {"command_id": "replace-1", "integration_id": INTEGRATION, "sealed_key": SEALED},
    RenameIntegration: _command | {"command_id": "rename-1", "integration_id": INTEGRATION, "label": "Research"},
    ChangePlan: _command | {"command_id": "plan-1", "plan": "ultimate"},
    RemoveIntegration: _command | {"command_id": "remove-1", "integration_id": INTEGRATION, "history": "keep"},
    CommandSucceeded: _owner | {"command_id": "add-1"},
    CommandRejected: {
        "command_id": "add-1",
        "account_id": "acme",
        "integration_id": None,
        "code": "key_refused",
        "detail": CAUSES[Code.KEY_REFUSED].detail,
    },
    **dict.fromkeys(INTEGRATION_STATES, _state),
    IntegrationRemoved: _state | _removed,
    CredentialSealed: _owner
    | {"credential_version": 1, "wrap_version": 1, "envelope": {"format": "1", "key_id": "2026-11"}},
    SyncRequested: {
        "request_id": "sync-1",
        "trigger": "force",
        "integration_id": INTEGRATION,
        "first_day": None,
        "last_day": None,
        "requested_at": AT,
    },
    CostRecorded: _owner
    | {
        "day": FIRST,
        "usd": "1.234567800000000001",
        "costs": [
            {"label": "Chat grok-4-0709", "product": "Chat", "model": "grok-4-0709", "usd": "1.2345678"},
            {"label": "File Storage", "product": None, "model": "File Storage", "usd": "0.000000000000000001"},
        ],
        "reading_id": READING,
        "observed_at": AT,
    },
    WindowRead: _read | {"totals": {FIRST: "1.234567800000000001", LAST: "0"}},
    SyncCompleted: _read
    | {"usd": "1.234567800000000001", "days_changed": 1, "reconciled": True, "unreconciled_days": []},
    SyncFailed: _window
    | {
        "code": "rate_limited",
        "final": False,
        "attempts": 1,
        "next_attempt_at": EXPIRES,
        "credential_version": 1,
        "observed_at": AT,
    },
}
