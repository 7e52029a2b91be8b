"""Reading from xAI: the key is open for as long as the call takes, and failures become errors of the seam."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

import httpx
import pytest
from common.crypto.envelopes import Binding, UnsealableError
from contract.messages import Cost
from contract.problems import Code
from syncer.domain import Days
from syncer.provider import ReadError, Reading, ReadOtherDaysError, ReadRefusedError, ReadTransientError
from syncer.store import Credential
from syncer.xai.calls import KeyringUselessError, Xai
from xai_usage import client

DAYS = Days(date(2026, 11, 19), date(2026, 11, 20))
CREDENTIAL = Credential(UUID(int=1), "account-1", 3, 1, {"format": "obviously-fake"})


Answer = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


class _Opener:
    def __init__(self, key: str | None) -> None:
        self.bindings: list[Binding] = []
        self.key = key

    def open(self, envelope: Mapping[str, str], binding: Binding) -> str:
        assert envelope == CREDENTIAL.envelope
        self.bindings.append(binding)
        if self.key is None:
            raise UnsealableError
        return self.key


async def test_the_key_is_opened_with_its_own_binding_and_used() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    opener = _Opener("obviously-fake-key")
    reading = await _ask(opener, answer)

    assert seen == ["Bearer obviously-fake-key"]
    assert opener.bindings == [Binding("account-1", UUID(int=1), 3)]
    assert reading.days == {DAYS.first: (), DAYS.last: ()}


async def test_a_label_is_split_into_product_and_model() -> None:
    point = {"timestamp": f"{DAYS.first}T00:00:00Z", "values": [1.25]}
    body = {
        "timeSeries": [{"group": [label], "dataPoints": [point]} for label in ("Chat grok-4-0709", "API grok-4-0709")]
    }

    reading = await _ask(
        _Opener("obviously-fake-key"), lambda _: httpx.Response(200, stream=httpx.ByteStream(json.dumps(body).encode()))
    )

    assert reading.days[DAYS.first] == (
        Cost(label="API grok-4-0709", product="API", model="grok-4-0709", usd=Decimal("1.25")),
        Cost(label="Chat grok-4-0709", product="Chat", model="grok-4-0709", usd=Decimal("1.25")),
    )


async def test_a_key_that_does_not_open_is_tried_again_later() -> None:
    with pytest.raises(ReadTransientError) as failed:
        await _ask(_Opener(None), lambda _: pytest.fail("xAI was called"))

    assert failed.value.code is Code.KEY_UNAVAILABLE
    assert failed.value.__cause__ is None


async def test_a_process_with_a_keyring_that_opens_nothing_is_not_ready_for_ten_minutes() -> None:
    now = 0.0
    async with client("http://xai.test", transport=httpx.MockTransport(_nothing)) as calls:
        opener = _Opener(None)
        xai = Xai(calls, opener, lambda: now)
        await xai.ready()
        with pytest.raises(ReadTransientError):
            await xai.read("team-1", CREDENTIAL, DAYS)

        with pytest.raises(KeyringUselessError):
            await xai.ready()
        now = 601.0
        await xai.ready()


async def test_a_process_that_opens_one_of_two_credentials_is_ready() -> None:
    async with client("http://xai.test", transport=httpx.MockTransport(_nothing)) as calls:
        opener = _Opener("obviously-fake-key")
        xai = Xai(calls, opener, lambda: 0.0)
        await xai.read("team-1", CREDENTIAL, DAYS)
        opener.key = None
        with pytest.raises(ReadTransientError):
            await xai.read("team-1", CREDENTIAL, DAYS)

        await xai.ready()


def _nothing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(b"{}"))


@pytest.mark.parametrize(
    ("status", "kind", "code", "retry_after"),
    [
        (400, ReadError, Code.REQUEST_REFUSED, None),
        (403, ReadRefusedError, Code.ACCESS_DENIED, None),
        (429, ReadTransientError, Code.RATE_LIMITED, 9),
    ],
)
async def test_a_failure_keeps_its_kind_its_code_and_its_pause(
    status: int, kind: type[ReadError], code: Code, retry_after: float | None
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Retry-After": "9"}, stream=httpx.ByteStream(b'{"code": 7}'))

    with pytest.raises(ReadError) as failed:
        await _ask(_Opener("obviously-fake-key"), answer)

    error = failed.value
    assert (type(error), error.code, error.retry_after) == (kind, code, retry_after)


async def test_an_answer_about_other_days_is_a_failure_of_its_own_kind() -> None:
    body = b'{"timeSeries": [{"dataPoints": [{"timestamp": "2026-11-20T07:00:00Z", "values": [1]}]}]}'

    with pytest.raises(ReadOtherDaysError) as failed:
        await _ask(_Opener("obviously-fake-key"), lambda _: httpx.Response(200, stream=httpx.ByteStream(body)))

    assert failed.value.code is Code.ANSWER_UNREADABLE


async def test_a_reading_has_one_deadline_for_all_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.xai.calls.READING_DEADLINE", 0.01)

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(ReadTransientError) as failed:
        await _ask(_Opener("obviously-fake-key"), never)

    assert failed.value.code is Code.XAI_UNAVAILABLE


async def _ask(opener: _Opener, answer: Answer) -> Reading:
    async with client("http://xai.test", transport=httpx.MockTransport(answer)) as calls:
        return await Xai(calls, opener).read("team-1", CREDENTIAL, DAYS)
