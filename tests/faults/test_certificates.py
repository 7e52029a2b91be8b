"""A server with a certificate that is not xAI's receives no key; once it is valid, all missed days are read."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from contract.problems import CAUSES, Code
from grafient.local.processes import free_ports
from grafient.local.system import System

from tests.faults.support.failing_xai import card_of, failure_of
from tests.faults.support.fault import Fault
from tests.faults.support.load import SETTINGS, Load, under_load
from tests.support.system import SystemClient
from tests.support.tls import WRONG, TlsProxy, valid

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


class TlsSystem(System):
    """The services trust the proxy's authority only, and reach xAI through the proxy."""

    def __init__(self, folder: Path, proxy: TlsProxy) -> None:
        trust = {"XAI_BASE_URL": proxy.url, "PYTHONPATH": str(proxy.trusted_by(folder / "trust"))}
        super().__init__(folder, lambda _text: None, delay_ms=5, settings=SETTINGS | trust)
        self._ports["simulator"] = proxy.behind
        self._xai_url = self.url_of("simulator")


@pytest.fixture(scope="module")
async def proxy() -> AsyncIterator[TlsProxy]:
    (port,) = free_ports(1)
    async with AsyncExitStack() as stack:
        proxy = TlsProxy(port)
        await stack.enter_async_context(proxy.open())
        yield proxy


@pytest.fixture(scope="module")
async def load(tmp_path_factory: pytest.TempPathFactory, proxy: TlsProxy) -> AsyncIterator[Load]:
    """Three teams on a system that reaches xAI over TLS."""
    async with under_load(TlsSystem(tmp_path_factory.mktemp("certificates"), proxy), teams=3) as load:
        yield load


@pytest.mark.parametrize("wrong", WRONG)
async def test_no_key_is_sent_where_the_certificate(load: Load, proxy: TlsProxy, fault: Fault, wrong: str) -> None:
    victim, since, code = load.teams[0], datetime.now(UTC), Code.XAI_UNAVAILABLE

    async with fault(f"xAI's certificate {wrong}"):
        proxy.present(WRONG[wrong])
        await load.force(*victim)
        await failure_of(load.client, victim, code, since)
        card = await card_of(load.client, victim, code)
        tested = await _test_connection(load.client)
        assert proxy.greeted > 0
        assert proxy.received == 0
        proxy.present(valid)

    assert (card["status"], card["status_text"]) == ("active", CAUSES[code].title)
    assert tested == (False, code)


async def _test_connection(client: SystemClient) -> tuple[bool, str]:
    team = await client.team()
    body = {"team_id": team.team_id, "management_key": team.key}
    response = (await client.request("POST", f"/accounts/{team.account_id}/integrations/test", body)).json()
    return response["ok"], response["code"]
