"""What each route of the connector does."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from common.database import Database
from common.http.openapi import answers
from common.http.tokens import needs
from common.kafka.publisher import Publisher
from common.rate_limits import Limiter
from contract.fields import AccountId, History, Trigger
from contract.messages import SyncRequested
from contract.problems import Code
from contract.topics import SYNC_REQUESTS
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import store, syncs
from connector.connection_check import ConnectionTest
from connector.integrations import Life, Wish, found
from connector.schemas import (
    Card,
    Cards,
    Credentials,
    NewIntegration,
    NewKey,
    NewLabel,
    NewPlan,
    SyncAccepted,
    Syncs,
    SyncWish,
    TestAnswer,
    answer_of,
    card_of,
    line_of,
)
from connector.store import Integration

READ = [Depends(needs("integrations:read"))]
WRITE = [Depends(needs("integrations:write"))]
CAUSES_OF_A_TEST = (
    Code.KEY_REFUSED,
    Code.ACCESS_DENIED,
    Code.TEAM_UNKNOWN,
    Code.TEAM_MALFORMED,
    Code.KEY_MALFORMED,
    Code.RATE_LIMITED,
    Code.XAI_UNAVAILABLE,
    Code.ANSWER_UNREADABLE,
)
"""Why a connection's test can fail."""


class Routes:
    """The routes; `tests` counts by account, `clock` says what today is (aware, UTC)."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        test: ConnectionTest,
        life: Life,
        tests: Limiter,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._test = test
        self._life = life
        self._tests = tests
        self._clock = clock

    def router(self) -> APIRouter:
        """All of them, in one table."""
        router = APIRouter(prefix="/v1/accounts/{account_id}", responses=answers())
        one = "/integrations/{integration_id:uuid}"  # or it would take `test` for an ID
        tested, once = answers(*CAUSES_OF_A_TEST), answers(*CAUSES_OF_A_TEST, Code.ALREADY_CONNECTED)
        router.put("/plan", operation_id="change_plan", dependencies=WRITE)(self.change_plan)
        testing = [*WRITE, Depends(self.may_test)]
        router.post("/integrations/test", operation_id="test_connection", dependencies=testing)(self.test)
        router.post(
            "/integrations", operation_id="add_integration", dependencies=testing, status_code=201, responses=once
        )(self.add)
        router.get("/integrations", operation_id="list_integrations", dependencies=READ)(self.cards)
        router.get(one, operation_id="get_integration", dependencies=READ)(self.card)
        router.patch(one, operation_id="rename_integration", dependencies=WRITE)(self.rename)
        router.put(f"{one}/credential", operation_id="replace_credential", dependencies=testing, responses=tested)(
            self.replace
        )
        router.delete(one, operation_id="remove_integration", dependencies=WRITE, status_code=204)(self.remove)
        router.post(f"{one}/sync", operation_id="request_sync", dependencies=WRITE, status_code=202)(self.sync)
        router.get(f"{one}/syncs", operation_id="list_syncs", dependencies=READ)(self.syncs)
        return router

    async def may_test(self, account_id: AccountId) -> None:
        """A dependency of the routes that call xAI; raises ProblemError (`too_many_requests`)."""
        self._tests.take(account_id)

    async def test(self, account_id: AccountId, body: Credentials) -> TestAnswer:  # noqa: ARG002 - the token is checked for it
        """Test Connection: one real call, nothing is kept."""
        return answer_of(await self._test.run(body.typed()))

    async def add(self, account_id: AccountId, body: NewIntegration) -> Card:
        """Connect a team: tested first, nothing is kept when the test fails."""
        added = await self._life.add(Wish(account_id, body.typed(), body.plan, body.label))
        return await self._shown(added)

    async def replace(self, account_id: AccountId, integration_id: UUID, body: NewKey) -> Card:
        """Give the integration another key: tested first, history kept; what was missed meanwhile is read by itself."""
        return await self._shown(await self._life.replace(account_id, integration_id, body.key()))

    async def rename(self, account_id: AccountId, integration_id: UUID, body: NewLabel) -> Card:
        return await self._shown(await self._life.rename(account_id, integration_id, body.label))

    async def change_plan(self, account_id: AccountId, body: NewPlan) -> NewPlan:
        """Put the account on another plan: growing fills in more history, shrinking hides nothing and stops nothing."""
        await self._life.change_plan(account_id, body.plan)
        return body

    async def cards(self, account_id: AccountId, *, removed: bool = False) -> Cards:
        """All integrations of the account; with `removed` also those that were removed with their history kept."""
        async with self._database.transaction() as connection:
            rows = await store.load_all(connection, account_id, removed=removed)
            return Cards(integrations=[await self._card(connection, row) for row in rows])

    async def card(self, account_id: AccountId, integration_id: UUID) -> Card:
        async with self._database.transaction() as connection:
            return await self._card(connection, await found(connection, account_id, integration_id))

    async def remove(
        self,
        account_id: AccountId,
        integration_id: UUID,
        kept: Annotated[History, Query(alias="history")] = History.KEEP,
    ) -> Response:
        """End the integration: calls stop at once, the sealed key is forgotten; its costs stay or go. Kept ones can go later."""
        await self._life.remove(account_id, integration_id, kept)
        return Response(status_code=204)

    async def sync(self, account_id: AccountId, integration_id: UUID, body: SyncWish | None = None) -> SyncAccepted:
        """Ask for the newest costs; answered when the broker has the request."""
        wish = body or SyncWish()
        async with self._database.transaction() as connection:
            await found(connection, account_id, integration_id)
        request = SyncRequested(
            request_id=wish.request_id or str(uuid4()),
            trigger=Trigger(wish.trigger),
            integration_id=integration_id,
            requested_at=self._clock(),
        )
        key = str(integration_id)
        event_id = f"{integration_id}:{request.request_id}"
        await self._publisher.publish(SYNC_REQUESTS, request, key=key, event_id=event_id, at=request.requested_at)
        return SyncAccepted(request_id=request.request_id)

    async def syncs(
        self, account_id: AccountId, integration_id: UUID, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Syncs:
        """The history of an integration, newest first."""
        async with self._database.transaction() as connection:
            await found(connection, account_id, integration_id)
            newest = await syncs.newest(connection, integration_id, limit)
        return Syncs(syncs=[line_of(sync) for sync in newest])

    async def _shown(self, row: Integration) -> Card:
        async with self._database.transaction() as connection:
            return await self._card(connection, row)

    async def _card(self, connection: AsyncConnection, row: Integration) -> Card:
        last = await syncs.last_completed(connection, row.integration_id)
        return card_of(row, last, await syncs.days_read(connection, row), self._clock())
