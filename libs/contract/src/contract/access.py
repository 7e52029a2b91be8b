"""Who may do what at the broker, declared once: a principal for each service and program, with least privilege.

Reading or writing a topic implies describing it, writing any implies an idempotent producer: nothing else is granted.
An operator is a super user of the broker and is not declared here.
"""

from dataclasses import dataclass

from contract.topics import (
    COMMAND_RESULTS,
    COMMANDS_TOPIC,
    COSTS,
    CREDENTIALS,
    DEAD_LETTERS,
    INTEGRATIONS,
    SYNC_OUTCOMES,
    SYNC_REQUESTS,
    Topic,
)


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """What one principal may do."""

    principal: str
    """User name of SCRAM, and client ID."""
    reads: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    free_groups: bool = False
    """It may choose its groups, named `<principal>.…`; otherwise each topic that it reads has one: `group_of`."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic that it needs."""
        return tuple(dict.fromkeys((*self.reads, *self.writes)))


def group_of(principal: str, topic: Topic) -> str:
    """The group in which a service consumes `topic`."""
    return f"{principal}.{topic.name}"


CONNECTOR = BrokerAccess(
    "connector",
    reads=(COMMANDS_TOPIC, SYNC_OUTCOMES),
    writes=(INTEGRATIONS, CREDENTIALS, SYNC_REQUESTS, COMMAND_RESULTS, DEAD_LETTERS),
)
SYNCER = BrokerAccess(
    "syncer",
    reads=(INTEGRATIONS, CREDENTIALS, SYNC_REQUESTS, SYNC_OUTCOMES),
    writes=(COSTS, SYNC_OUTCOMES, DEAD_LETTERS),
)
LEDGER = BrokerAccess("ledger", reads=(INTEGRATIONS, COSTS), writes=(SYNC_OUTCOMES, DEAD_LETTERS))
CRON = BrokerAccess("cron", writes=(SYNC_REQUESTS,))
WEBAPP = BrokerAccess(
    "webapp",
    reads=(COMMAND_RESULTS, INTEGRATIONS, SYNC_OUTCOMES, COSTS),
    writes=(COMMANDS_TOPIC, SYNC_REQUESTS),
    free_groups=True,
)
"""Any program of the product, in any language."""

ACCESS = {access.principal: access for access in (CONNECTOR, SYNCER, LEDGER, CRON, WEBAPP)}


def consumers_of(topic: Topic) -> tuple[str, ...]:
    """The services that handle `topic`; web apps may read it besides."""
    return tuple(name for name, access in ACCESS.items() if topic in access.reads and not access.free_groups)
