"""Every message of the system, declared once. `ce_type` is the name of the class.

Unknown fields are ignored, new ones optional. Money is a decimal string, a day an ISO date, an instant RFC 3339 in UTC.
"""

from contract.messages.base import Message
from contract.messages.commands import (
    COMMANDS,
    AddIntegration,
    ChangePlan,
    Command,
    CommandRejected,
    CommandSucceeded,
    RemoveIntegration,
    RenameIntegration,
    ReplaceCredential,
)
from contract.messages.costs import Cost, CostRecorded
from contract.messages.integrations import (
    INTEGRATION_STATES,
    CredentialSealed,
    IntegrationAdded,
    IntegrationChanged,
    IntegrationRemoved,
    IntegrationState,
)
from contract.messages.syncs import MAX_WINDOW_DAYS, AnswerHash, SyncCompleted, SyncFailed, SyncRequested, WindowRead

__all__ = [
    "COMMANDS",
    "INTEGRATION_STATES",
    "MAX_WINDOW_DAYS",
    "AddIntegration",
    "AnswerHash",
    "ChangePlan",
    "Command",
    "CommandRejected",
    "CommandSucceeded",
    "Cost",
    "CostRecorded",
    "CredentialSealed",
    "IntegrationAdded",
    "IntegrationChanged",
    "IntegrationRemoved",
    "IntegrationState",
    "Message",
    "RemoveIntegration",
    "RenameIntegration",
    "ReplaceCredential",
    "SyncCompleted",
    "SyncFailed",
    "SyncRequested",
    "WindowRead",
]
