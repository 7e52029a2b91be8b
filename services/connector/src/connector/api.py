"""What each route of the connector does."""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated
from uuid import UUID, uuid4

from common.database import Database, Pipeline
from common.http.openapi import answers
from common.http.tokens import needs
from common.kafka.publisher import Publisher
from common.rate_limits import Limiter
from contract.fields import AccountId, History, Trigger
from contract.messages import SyncRequested
from contract.problems import Code
from contract.rules import XAI_CODES
from contract.topics import SYNC_REQUESTS
from fastapi import APIRouter, Depends, Query, Response

from connector import store, syncs
from connector.connection_check import ConnectionTest, Credentials
from connector.integrations import ConnectRequest, Integrations, ensure_no_duplicate, get_or_404
from connector.request_bodies import NewIntegration, NewKey, NewLabel, NewPlan, SyncOptions
from connector.schemas import (
    AccountPlan,
    Card,
    Cards,
    SyncAccepted,
    Syncs,
    TestAnswer,
    card_of,
    line_of,
    response_of,
)
from connector.store import Integration
from connector.syncs import Progress

READ = [Depends(needs("integrations:read"))]
WRITE = [Depends(needs("integrations:write"))]


class IntegrationRoutes:
    """`tests` limits connection tests by account; `clock` returns the current instant (aware, UTC)."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        test: ConnectionTest,
        integrations: Integrations,
        tests: Limiter,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._test = test
        self._integrations = integrations
        self._tests = tests
        self._clock = clock

    def router(self) -> APIRouter:
        """The routes, in one table; a method's name is its operation ID."""
        router = APIRouter(
            prefix="/v1/accounts/{account_id}",
            responses=answers(),
            generate_unique_id_function=attrgetter("name"),
        )
        test = [*WRITE, Depends(self._count_test)]
        not_sealed, not_synced = answers(*XAI_CODES, Code.ALREADY_CONNECTED), answers(Code.ALREADY_CONNECTED)
        every, one = "/integrations", "/integrations/{integration_id:uuid}"  # without `uuid` it would match `test`
        router.put("/plan", dependencies=WRITE)(self.change_plan)
        router.post(f"{every}/test", dependencies=test)(self.test_connection)
        router.post(every, dependencies=test, status_code=201, responses=not_sealed)(self.add_integration)
        router.get(every, dependencies=READ)(self.list_integrations)
        router.get(one, dependencies=READ)(self.get_integration)
        router.patch(one, dependencies=WRITE)(self.rename_integration)
        router.put(f"{one}/credential", dependencies=test, responses=not_sealed)(self.replace_credential)
        router.delete(one, dependencies=WRITE, status_code=204)(self.remove_integration)
        router.post(f"{one}/sync", dependencies=WRITE, status_code=202, responses=not_synced)(self.request_sync)
        router.get(f"{one}/syncs", dependencies=READ)(self.list_syncs)
        return router

    async def change_plan(self, account_id: AccountId, body: NewPlan) -> AccountPlan:
        """Set the account's plan: a larger one fills in more history, a smaller one hides and stops nothing."""
        await self._integrations.change_plan(account_id, body.plan)
        return AccountPlan(plan=body.plan)

    async def test_connection(self, account_id: AccountId, body: Credentials) -> TestAnswer:  # noqa: ARG002 - the gate checks it
        """Test Connection: one real call; nothing is stored."""
        return response_of(await self._test.run(body))

    async def add_integration(self, account_id: AccountId, body: NewIntegration) -> Card:
        """Connect a team: tested first; nothing is stored when the test fails."""
        added = await self._integrations.add(ConnectRequest(account_id, body, body.plan, body.label))
        if added.version > 1:  # it had been removed, and the ledger has its history
            return await self._card(added)
        return card_of(Progress(added), None, self._clock())

    async def list_integrations(self, account_id: AccountId, *, removed: bool = False) -> Cards:
        """All integrations of the account; with `removed` also those that were removed with their history kept."""
        async with self._database.pipeline() as pipeline:
            rows = await store.load_all(pipeline, account_id, removed=removed)
            return Cards(integrations=await self._cards(pipeline, rows))

    async def get_integration(self, account_id: AccountId, integration_id: UUID) -> Card:
        async with self._database.pipeline() as pipeline:
            row = await get_or_404(pipeline, account_id, integration_id)
            return (await self._cards(pipeline, [row]))[0]

    async def rename_integration(self, account_id: AccountId, integration_id: UUID, body: NewLabel) -> Card:
        return await self._card(await self._integrations.rename(account_id, integration_id, body.label))

    async def replace_credential(self, account_id: AccountId, integration_id: UUID, body: NewKey) -> Card:
        """Replace the key: tested first, the history is kept; days missed meanwhile are read automatically."""
        key = body.management_key.get_secret_value()
        return await self._card(await self._integrations.replace_credential(account_id, integration_id, key))

    async def remove_integration(
        self, account_id: AccountId, integration_id: UUID, history: History = History.KEEP
    ) -> Response:
        """End calls and delete the sealed key at once; the costs are kept or erased. Kept ones can be erased later."""
        await self._integrations.remove(account_id, integration_id, history)
        return Response(status_code=204)

    async def request_sync(
        self, account_id: AccountId, integration_id: UUID, body: SyncOptions | None = None
    ) -> SyncAccepted:
        """Request the newest costs, or those of some days; answered when the broker has the request."""
        options = body or SyncOptions()
        async with self._database.direct() as driver:
            ensure_no_duplicate(await get_or_404(Pipeline(driver), account_id, integration_id))
        request = SyncRequested(
            request_id=options.request_id or str(uuid4()),
            trigger=Trigger(options.trigger),
            integration_id=integration_id,
            first_day=options.first_day,
            last_day=options.last_day,
            requested_at=self._clock(),
        )
        key = str(integration_id)
        event_id = f"{integration_id}:{request.request_id}"
        await self._publisher.publish(SYNC_REQUESTS, request, key=key, event_id=event_id, at=request.requested_at)
        return SyncAccepted(request_id=request.request_id)

    async def list_syncs(
        self, account_id: AccountId, integration_id: UUID, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Syncs:
        """The history of an integration, newest first."""
        async with self._database.pipeline() as pipeline:
            await get_or_404(pipeline, account_id, integration_id)
            newest = await syncs.newest(pipeline, integration_id, limit)
        return Syncs(syncs=[line_of(sync) for sync in newest])

    async def _count_test(self, account_id: AccountId) -> None:
        """A dependency of the routes that call xAI; raises ProblemError (`too_many_requests`)."""
        self._tests.take(account_id)

    async def _card(self, row: Integration) -> Card:
        async with self._database.pipeline() as pipeline:
            return (await self._cards(pipeline, [row]))[0]

    async def _cards(self, pipeline: Pipeline, rows: Sequence[Integration]) -> list[Card]:
        ids = [row.integration_id for row in rows]
        progress, last = await syncs.progress(pipeline, ids), await syncs.last_completed(pipeline, ids)
        return [card_of(progress[one], last.get(one), self._clock()) for one in ids]
