"""What each route of the connector does."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from common.database import Database
from common.fields import AccountId, History, Trigger
from common.kafka import Publisher
from common.messages import SyncRequested
from common.problems import Code, ProblemError
from common.tokens import needs
from common.topics import SYNC_REQUESTS
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from connector import history, store
from connector.adding import Adding, Wish
from connector.cards import (
    Card,
    Cards,
    Credentials,
    NewIntegration,
    SyncAccepted,
    Syncs,
    SyncWish,
    TestAnswer,
    answer_of,
    card_of,
    line_of,
)
from connector.connection import ConnectionTest
from connector.store import Integration

READ = [Depends(needs("integrations:read"))]
WRITE = [Depends(needs("integrations:write"))]


class Routes:
    """The routes; `clock` says what today is (aware, UTC), `wake` tells the relay."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        test: ConnectionTest,
        adding: Adding,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._test = test
        self._adding = adding
        self._clock = clock
        self._wake = wake

    def router(self) -> APIRouter:
        """All of them, in one table."""
        router = APIRouter(prefix="/v1/accounts/{account_id}/integrations")
        router.post("/test", dependencies=WRITE)(self.test)
        router.post("", dependencies=WRITE, status_code=201)(self.add)
        router.get("", dependencies=READ)(self.cards)
        router.get("/{integration_id}", dependencies=READ)(self.card)
        router.delete("/{integration_id}", dependencies=WRITE, status_code=204)(self.remove)
        router.post("/{integration_id}/sync", dependencies=WRITE, status_code=202)(self.sync)
        router.get("/{integration_id}/syncs", dependencies=READ)(self.syncs)
        return router

    async def test(self, account_id: AccountId, body: Credentials) -> TestAnswer:  # noqa: ARG002 - the token is checked for it
        """Test Connection: one real call, nothing is kept."""
        return answer_of(await self._test.run(body.typed()))

    async def add(self, account_id: AccountId, body: NewIntegration) -> Card:
        """Connect a team: tested first, nothing is kept when the test fails."""
        added = await self._adding.add(Wish(account_id, body.typed(), body.plan, body.label))
        return card_of(added, None, 0, self._clock())

    async def cards(self, account_id: AccountId) -> Cards:
        async with self._database.transaction() as connection:
            rows = await store.load_all(connection, account_id)
            return Cards(integrations=[await self._card(connection, row) for row in rows])

    async def card(self, account_id: AccountId, integration_id: UUID) -> Card:
        async with self._database.transaction() as connection:
            return await self._card(connection, await _found(connection, account_id, integration_id))

    async def remove(
        self,
        account_id: AccountId,
        integration_id: UUID,
        kept: Annotated[History, Query(alias="history")] = History.KEEP,
    ) -> Response:
        """End the integration: calls stop at once, the sealed key is forgotten; its costs stay or go."""
        async with self._database.transaction() as connection:
            if not await store.remove(connection, account_id, integration_id, kept):
                raise ProblemError(Code.NOT_FOUND)
            if kept is History.ERASE:
                await history.erase(connection, integration_id)
        self._wake()
        return Response(status_code=204)

    async def sync(self, account_id: AccountId, integration_id: UUID, body: SyncWish | None = None) -> SyncAccepted:
        """Ask for the newest costs; answered when the broker has the request."""
        wish = body or SyncWish()
        async with self._database.transaction() as connection:
            await _found(connection, account_id, integration_id)
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
            await _found(connection, account_id, integration_id)
            found = await history.newest(connection, integration_id, limit)
        return Syncs(syncs=[line_of(sync) for sync in found])

    async def _card(self, connection: AsyncConnection, row: Integration) -> Card:
        last = await history.last_completed(connection, row.integration_id)
        return card_of(row, last, await history.days_read(connection, row), self._clock())


async def _found(connection: AsyncConnection, account_id: str, integration_id: UUID) -> Integration:
    found = await store.load(connection, account_id, integration_id)
    if found is None:
        raise ProblemError(Code.NOT_FOUND)
    return found
