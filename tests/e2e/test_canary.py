"""A key lives its whole life, through every error that can be provoked, and is found nowhere afterwards."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Collection, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from grafient.local.system import System

from tests.support.commands import grafient
from tests.support.secret_search import Canaries, Canary, Hit, in_files, in_processes, in_tables, in_topics
from tests.support.system import SystemClient, Team
from tests.support.waiting import until

AT_LEAST = 30
SLOW = "hang"
"""Lasts as long as the deadline of a test."""
SPILT_INTO = ("xai.commands.v1", "xai.credentials.v1")
"""Where the test itself writes keys in the clear, as a faulty program would: what it wrote stands there, and nowhere else."""
COMMANDS = ("reconcile --ask-xai", "keys list", "keys check", "dead-letters list --all", "windows list", "status")
"""What operators look at; the first one opens every key."""
ENVELOPE = {"ce_specversion": b"1.0", "ce_source": b"/test", "content-type": b"application/json", "ce_id": b"1"}


@dataclass
class Story:
    """What was provoked, and everything that was answered."""

    world: SystemClient
    canary: Canary = field(default_factory=Canary)
    spilt: Canary = field(default_factory=lambda: Canary(name="spilt"))
    provoked: dict[str, str] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    followed: list[bytes] = field(default_factory=list)
    """What a redirect's target was asked."""
    metrics: list[bytes] = field(default_factory=list)
    printed: list[bytes] = field(default_factory=list)
    """By operators' commands."""

    async def hear(self, response: httpx.Response) -> None:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
            self.answers.append(repr(response.headers).encode() + response.content)

    def note(self, name: str, seen: str) -> None:
        assert name not in self.provoked
        self.provoked[name] = seen

    async def team(self, name: str) -> Team:
        """A team whose keys are all recognisable."""
        keys = [self.canary.key(f"{name}-{one}") for one in ("first", "second")]
        team = await self.world.team(keys=[{"key": key, "name": key[-12:]} for key in keys])
        return replace(team, key=keys[0])

    async def ask(self, name: str, method: str, path: str, status: int, **options: Any) -> httpx.Response:
        """A request that is to end with `status`; `path` without a host is the connector's."""
        url = path if path.startswith("http") else f"{self.world.address.connector_url}/v1{path}"
        answer = await self.world._http.request(method, url, **options)  # noqa: SLF001 - bodies that are no JSON
        assert answer.status_code == status, (name, answer.status_code)
        self.note(name, f"{status} {answer.json().get('code')}")
        return answer


@pytest.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """The whole system with everything it can log, and the whole story on it."""
    settings = {"LOG_LEVEL": "DEBUG", "SYNCER_HEAL_EVERY_SECONDS": "1"}
    system = System(tmp_path_factory.mktemp("canary"), lambda _text: None, delay_ms=0, durable=False, settings=settings)
    try:
        await system.start()
        async with SystemClient(system) as world:
            told = Story(world)
            world._http.event_hooks["response"].append(told.hear)  # noqa: SLF001 - every answer is looked at
            await _live(told)
            yield told
    finally:
        await system.stop()


async def _live(story: Story) -> None:
    quick = _faults("", "").keys() - {SLOW}
    await _all(_xai_fails_the_test(story, quick), _requests_are_wrong(story), _syncs_fail(story))
    await story.world.clear_faults()  # or the circuit opens for everybody
    await _all(_xai_fails_the_test(story, {SLOW}), _the_broker_is_held(story))
    await story.world.clear_faults()
    await _a_program_spills(story)
    await _services_die(story)
    await _the_database_is_held(story)
    await _one_life(story)
    await _too_often(story)
    for url in (story.world.address.connector_url, story.world.address.syncer_url, story.world.address.ledger_url):
        story.metrics.append((await story.world._http.get(f"{url}/metrics")).content)  # noqa: SLF001 - another path
    await _operators_look(story)


async def _operators_look(story: Story) -> None:
    env = story.world.system.environment_of("syncer") | story.world.environment
    for command in COMMANDS:
        done = await grafient(*command.split(), "--json", env=env)
        json.loads(done.stdout)
        story.note(f"grafient {command}", f"status {done.status}")
        story.printed.append((done.stdout + done.stderr).encode())


async def _all(*parts: Coroutine[Any, Any, None]) -> None:
    """Side by side to the end; tells everything that went wrong otherwise than expected."""
    ended = await asyncio.gather(*parts, return_exceptions=True)
    if failed := [one for one in ended if isinstance(one, Exception)]:
        raise ExceptionGroup("not as expected", failed)


def _faults(key: str, redirect: str) -> dict[str, tuple[dict[str, Any], str]]:
    """What xAI does, and what the customer is told of it; its sentences repeat the key."""
    echo = f'{{"error": "no: Bearer {key}", "{key}": 1}}'
    told = {"body": echo, "headers": {"x-echo": key}}
    return {
        "400": (told | {"status": 400}, "team_malformed"),
        "401": (told | {"status": 401}, "key_refused"),
        "403": (told | {"status": 403}, "access_denied"),
        "404": (told | {"status": 404}, "team_unknown"),
        "429": (told | {"status": 429}, "rate_limited"),
        "500": (told | {"status": 500}, "xai_unavailable"),
        "503": (told | {"status": 503}, "xai_unavailable"),
        "unreadable": (told, "answer_unreadable"),
        "html": ({"html": True}, "answer_unreadable"),
        "bomb": ({"gzip_bomb": 64 * 1024 * 1024}, "answer_unreadable"),
        "redirect": ({"redirect": redirect}, "xai_unavailable"),
        "cut": ({"cut_after_bytes": 20}, "answer_unreadable"),
        "reset": ({"reset": True}, "xai_unavailable"),
        "hang": ({"hang": True}, "xai_unavailable"),
    }


async def _xai_fails_the_test(story: Story, names: Collection[str]) -> None:
    async def catch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        story.followed.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(catch, "127.0.0.1", 0) as server:
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

        async def fail(name: str) -> None:
            team = await story.team(f"test-{name}")
            fault, code = _faults(team.key, target)[name]
            await story.world.control("POST", "/faults", {"team_id": team.team_id, "times": None, **fault})
            body = {"team_id": team.team_id, "management_key": team.key}
            answer = await story.world.request("POST", f"/accounts/{team.account_id}/integrations/test", body)
            assert (answer.status_code, answer.json().get("code")) == (200, code), (name, answer.json().get("code"))
            story.note(f"Test Connection: {name}", code)

        await _all(*(fail(name) for name in names))


async def _syncs_fail(story: Story) -> None:
    async def fail(name: str) -> None:
        team = await story.team(f"sync-{name}")
        integration_id = await story.world.connect(team)
        fault, code = _faults(team.key, "http://127.0.0.1:9/")[name]
        await story.world.control("POST", "/faults", {"team_id": team.team_id, "times": None, **fault})
        path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
        await story.world.request("POST", path, {})
        await _comes(story, team, integration_id, code)
        story.note(f"Force Sync: {name}", code)

    await _all(*(fail(name) for name in ("401", "403", "404", "500", "unreadable", "html", "reset", "cut")))


async def _comes(story: Story, team: Team, integration_id: str, code: str) -> None:
    async def codes() -> list[Any]:
        return [one["code"] for one in await story.world.syncs(team, integration_id)]

    await until(codes, lambda got: code in got)


async def _requests_are_wrong(story: Story) -> None:
    key, account = story.canary.key('wrong/+%"é'), "/accounts/wrong"
    plain, add = story.canary.key("wrong"), f"{account}/integrations"
    good = {"team_id": str(uuid.uuid4()), "management_key": key, "plan": "free"}
    costs = f"{story.world.address.ledger_url}/v1{account}/costs"
    ask = story.ask
    await ask("a label of 300", "POST", add, 422, json=good | {"label": key * 10})
    await ask("key as a plan", "POST", add, 422, json=good | {"plan": key})
    await ask("key in a list", "POST", add, 422, json=good | {"management_key": [key]})
    await ask("key as a number's neighbour", "POST", add, 422, json=good | {"team_id": {key: 1}})
    await ask("key as a field's name", "POST", add, 422, json=good | {key: 1})
    await ask("key as the body", "POST", add, 422, json=key)
    await ask("body is no JSON", "POST", add, 422, content=f'{{"management_key": "{plain}', headers=_JSON)
    await ask("body is too large", "POST", add, 413, json=good | {"label": plain * 2000})
    await ask("key as an account", "GET", f"/accounts/{plain}!/integrations", 422)
    await ask("key as an integration", "GET", f"{add}/{plain}", 404)
    await ask("key as a route", "GET", f"/{plain}", 404)
    await ask("another method", "PUT", f"{add}?key={plain}", 405)
    await ask("key in the query", "GET", f"{add}?removed={plain}", 422)
    await ask("key as a token", "GET", add, 401, headers={"Authorization": f"Bearer {plain}"})
    await ask("key as a password", "GET", add, 401, headers={"Authorization": f"Basic {plain}"})
    await ask("key as a day", "GET", f"{costs}?from={plain}&to=2026-01-01", 422)
    await ask(
        "key as an integration of the ledger",
        "GET",
        f"{costs}?from=2026-01-01&to=2026-01-01&integration_id={plain}",
        422,
    )
    test = f"{add}/test"
    for name, bad in {"line break": f"{plain}\n{plain}", "non-ASCII": key, "10 KiB": plain * 160}.items():
        answer = await story.world.request("POST", test, good | {"management_key": bad} | {"plan": "free"})
        told = answer.json()
        assert told.get("code") in {"key_malformed", "request_malformed"}, told.get("code")
        story.note(f"malformed key: {name}", str(told["code"]))


_JSON = {"content-type": "application/json"}


async def _a_program_spills(story: Story) -> None:
    """Keys in the clear on topics that are for sealed ones."""
    key, account = story.spilt.key("spilt"), "spilt"
    body = (
        f'{{"command_id": "ID", "account_id": "{account}", "team_id": "team", "plan": "free", '
        '"expires_at": "2099-01-01T00:00:00Z", FIELD}'
    )
    fields = {
        "a key in place of a sealed one": f'"sealed_key": "{key}"',
        "a key beside a sealed one": f'"sealed_key": "v1.x.x.x", "management_key": "{key}"',
        "a command that is no JSON": f'"sealed_key": "{key}',
    }
    for name, one in fields.items():
        command = body.replace("ID", name.replace(" ", "-")).replace("FIELD", one).encode()
        await story.world.publish(SPILT_INTO[0], account, command, ENVELOPE | {"ce_type": b"AddIntegration"})
    await story.world.publish(SPILT_INTO[0], key, b"{}", ENVELOPE | {"ce_type": key.encode()})
    await story.world.publish(
        SPILT_INTO[1], str(uuid.uuid4()), key.encode(), ENVELOPE | {"ce_type": b"CredentialSealed"}
    )
    await story.world.publish(SPILT_INTO[1], key, key.encode(), {"ce_type": b"CredentialSealed", key: key.encode()})

    async def letters() -> list[str]:
        found = await story.world.records("xai.dead-letters.v1")
        headers = [dict(one.headers) for one in found]
        return [one["dead_letter_topic"].decode() for one in headers]

    told = await until(letters, lambda got: got.count(SPILT_INTO[1]) >= 2 and got.count(SPILT_INTO[0]) >= 2)
    for number, topic in enumerate(told):
        story.note(f"a message given up: {number}", topic)

    async def results() -> int:
        return len(await story.world.records("xai.command-results.v1"))

    story.note("a command rejected", str(await until(results)))


async def _services_die(story: Story) -> None:
    world, team = story.world, await story.team("crash")
    integration_id = await world.add(team, "pro")
    before = world.system.address().pids

    async def back() -> bool:
        now = world.system.address().pids
        return all(now[name] != before[name] for name in ("connector", "syncer", "ledger"))

    async def answers() -> bool:
        try:
            return (await world.request("GET", "/accounts/anyone/integrations")).is_success
        except httpx.TransportError:
            return False

    for name in ("syncer", "ledger", "connector"):
        os.kill(before[name], signal.SIGKILL)
        story.note(f"kill -9: {name}", "killed")
    await until(back)
    await until(answers)
    await world.backfilled(team, integration_id)


async def _the_database_is_held(story: Story) -> None:
    world, team = story.world, await story.team("held")
    body = {"team_id": team.team_id, "management_key": team.key, "plan": "free"}
    path = f"/accounts/{team.account_id}/integrations"
    async with world.locked("connector.integrations"):
        adding = asyncio.create_task(world.request("POST", path, body))
        waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'connector' AND wait_event_type = 'Lock'"
        (row, *_) = await until(lambda: world.rows(waiting))
        await world.rows("SELECT pg_terminate_backend(%s)", row[0])
        answer = await adding
    assert answer.status_code == 503, answer.status_code
    story.note("database ends the connection while adding", "503")


async def _the_broker_is_held(story: Story) -> None:
    world, team = story.world, await story.team("unheard")
    pid = world.system.address().pids["kafka"]
    os.kill(pid, signal.SIGSTOP)
    try:
        integration_id = await world.add(team)
        path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
        await story.ask("the broker does not answer", "POST", path, 503, json={})
    finally:
        os.kill(pid, signal.SIGCONT)
    await world.backfilled(team, integration_id)


async def _too_often(story: Story) -> None:
    """Until the account's connection tests are used up."""
    team = await story.team("often")
    body = {"team_id": team.team_id, "management_key": team.key}
    for _ in range(100):
        answer = await story.world.request("POST", f"/accounts/{team.account_id}/integrations/test", body)
        if answer.status_code != httpx.codes.OK:
            break
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    story.note("too many tests", str(answer.json()["code"]))


async def _one_life(story: Story) -> None:
    """Added, visited, replaced, renamed, put on another plan, unsealable, removed, back again, erased."""
    world, team = story.world, await story.team("life")
    integration_id = await world.connect(team)
    one = f"/accounts/{team.account_id}/integrations/{integration_id}"
    add = {"team_id": team.team_id, "management_key": team.key, "plan": "free"}
    await story.ask("connected already", "POST", f"/accounts/{team.account_id}/integrations", 409, json=add)
    await story.ask(
        "another account's",
        "PUT",
        f"/accounts/stranger/integrations/{integration_id}/credential",
        404,
        json={"management_key": team.key},
    )
    refused = {"management_key": story.canary.key("refused")}
    await story.ask("a replacement is refused", "PUT", f"{one}/credential", 422, json=refused)
    await world.force(team, integration_id, trigger="visit")
    second = story.canary.key("life-second")
    assert (await world.request("PUT", f"{one}/credential", {"management_key": second})).is_success
    assert (await world.request("PATCH", one, {"label": "Renamed"})).is_success
    assert (await world.request("PUT", f"/accounts/{team.account_id}/plan", {"plan": "pro"})).is_success
    await world.backfilled(team, integration_id)
    await world.control("POST", "/keys/revoke", {"key": second})
    await world.force(team, integration_id)
    await _comes(story, team, integration_id, "key_refused")
    story.note("a key is revoked", "key_refused")
    assert (await world.request("DELETE", one)).is_success
    assert await world.add(team) == integration_id
    await world.backfilled(team, integration_id)
    await world.rows(
        "UPDATE syncer.credentials SET envelope = jsonb_set(envelope, '{ciphertext}', '\"AAAA\"') "
        "WHERE integration_id = %s RETURNING 1",
        integration_id,
    )
    await world.request("POST", f"{one}/sync", {})
    await _comes(story, team, integration_id, "unsealable")
    story.note("a sealed key does not open", "unsealable")
    assert (await world.request("DELETE", f"{one}?history=erase")).is_success


@pytest.fixture(scope="module")
async def hits(story: Story) -> list[Hit]:
    """Every mark that was found, wherever it stands: each place is read once."""
    world, folder = story.world, story.world.system._folder  # noqa: SLF001 - where everything is kept
    marks = Canaries([story.canary, story.spilt, Canary(world.address.token, "token")])
    found = in_files(marks, folder) + in_processes(marks, world.system.address().pids)
    found += await in_topics(marks, world) + await in_tables(marks, world.address.database_url)
    pieces = {"an answer": story.answers, "metrics": story.metrics, "a redirect": story.followed}
    pieces["a command's output"] = story.printed
    return found + [hit for place, heard in pieces.items() for data in heard for hit in marks.search(place, data)]


def _told(hits: list[Hit], story: Story) -> str:
    """What was found, and after what."""
    places = [f"{hit.mark} as {hit.form} in {hit.place}" for hit in hits[:20]]
    return "\n".join([*places, *(f"{name:50} {seen}" for name, seen in story.provoked.items())])


async def test_the_key_is_nowhere_after_a_whole_life(story: Story, hits: list[Hit]) -> None:
    found = [hit for hit in hits if hit.mark == "key"]

    assert found == [], _told(found, story)


async def test_what_a_program_spills_goes_no_further(story: Story, hits: list[Hit]) -> None:
    spilt = [hit for hit in hits if hit.mark == "spilt"]
    further = [hit for hit in spilt if not any(topic in hit.place for topic in SPILT_INTO)]

    assert further == [], _told(further, story)
    for (
        topic
    ) in SPILT_INTO:  # and where it is known to stand, the search finds it: in records and in the broker's files
        assert any(hit.place.endswith(".log") and f"{topic}-" in hit.place for hit in spilt), topic
        assert any(f" of {topic}/" in hit.place for hit in spilt), topic


async def test_a_token_is_nowhere_either(story: Story, hits: list[Hit]) -> None:
    found = [hit for hit in hits if hit.mark == "token"]

    assert found == [], _told(found, story)


async def test_enough_went_wrong(story: Story) -> None:
    assert len(story.provoked) >= AT_LEAST, story.provoked
    assert story.followed == []


async def test_no_service_can_leave_a_dump_of_its_memory(story: Story) -> None:
    pids = story.world.system.address().pids
    for name in ("connector", "syncer", "ledger"):
        limits = Path(f"/proc/{pids[name]}/limits").read_text()
        line = next(one for one in limits.splitlines() if one.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"], name
