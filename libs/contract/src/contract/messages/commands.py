"""Commands of web apps, and their results."""

from uuid import UUID

from contract.fields import AccountId, EnteredTeamId, History, Instant, Label, Plan, RequestId, Text
from contract.messages.base import Message
from contract.problems import Code


class _Command(Message):
    command_id: RequestId
    account_id: AccountId
    expires_at: Instant
    """At most 7 days ahead."""


class AddIntegration(_Command):
    """Connect a team."""

    team_id: EnteredTeamId
    label: Label | None = None
    plan: Plan
    sealed_key: Text
    """The Management API key, sealed to the connector's public key."""


class ReplaceCredential(_Command):
    """Replace the key of an integration in place."""

    integration_id: UUID
    sealed_key: Text


class RenameIntegration(_Command):
    """Change the label of an integration."""

    integration_id: UUID
    label: Label


class ChangePlan(_Command):
    """Change the plan of the account."""

    plan: Plan


class RemoveIntegration(_Command):
    """Remove an integration; `history` decides whether its costs are kept."""

    integration_id: UUID
    history: History


class CommandSucceeded(Message):
    """A command took effect."""

    command_id: RequestId
    account_id: AccountId
    integration_id: UUID | None = None


class CommandRejected(CommandSucceeded):
    """A command had no effect; `code` and `detail` are the reason."""

    code: Code
    detail: Text


Command = AddIntegration | ReplaceCredential | RenameIntegration | ChangePlan | RemoveIntegration
COMMANDS = (AddIntegration, ReplaceCredential, RenameIntegration, ChangePlan, RemoveIntegration)
