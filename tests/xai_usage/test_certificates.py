"""The key is sent only to a server that proves to be xAI."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import certifi
import httpx
import pytest
from contract.problems import Code
from xai_usage import CallTransient, TeamAccess, client

from tests.support.tls import WRONG, Issue, TlsProxy, valid
from tests.support.wire import http, saying, server

DAY = date(2026, 11, 1)
ACCESS = TeamAccess("team", "obviously-a-fake-management-key")


@pytest.fixture
async def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TlsProxy]:
    async with server(saying(http(b'{"timeSeries": []}'))) as url:
        proxy = TlsProxy(httpx.URL(url).port or 0)
        monkeypatch.setattr(certifi, "where", lambda: str(proxy.trusted_by(tmp_path / "trust") / "ca.pem"))
        async with proxy.open():
            yield proxy


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_server_that_is_not_xai_gets_no_request(proxy: TlsProxy, wrong: Issue) -> None:
    proxy.present(wrong)

    async with client(proxy.url) as xai:
        with pytest.raises(CallTransient) as failed:
            await xai.ask(ACCESS, DAY, DAY)

    assert failed.value.code is Code.XAI_UNAVAILABLE
    assert (proxy.greeted, proxy.received) == (1, 0)


async def test_xai_gets_the_request(proxy: TlsProxy) -> None:
    proxy.present(valid)

    async with client(proxy.url) as xai:
        assert (await xai.ask(ACCESS, DAY, DAY)).days == {DAY: {}}

    assert proxy.received > 0
