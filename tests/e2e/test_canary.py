"""A key lives its whole life, through every error that can be provoked, and is found nowhere afterwards."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from aiokafka import ConsumerRecord
from canary_world import Canary, Hit, in_files, in_processes, in_records, in_tables, in_topics, packed
from e2e_world import Team, World, until
from grafient.local.system import System

AT_LEAST = 30
SPILT_INTO = ("xai.commands.v1", "xai.credentials.v1")
"""Where the test itself writes keys in the clear, as a faulty program would: what it wrote stands there, and nowhere else."""
ENVELOPE = {"ce_specversion": b"1.0", "ce_source": b"/test", "content-type": b"application/json", "ce_id": b"1"}


@dataclass
class Story:
    """What was provoked, and everything that was answered."""

    world: World
    canary: Canary = field(default_factory=Canary)
    spilt: Canary = field(default_factory=Canary)
    provoked: dict[str, str] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    followed: list[bytes] = field(default_factory=list)
    """What a redirect's target was asked."""
    metrics: list[bytes] = field(default_factory=list)

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
        async with World(system) as world:
            told = Story(world)
            world._http.event_hooks["response"].append(told.hear)  # noqa: SLF001 - every answer is looked at
            await _live(told)
            yield told
    finally:
        await system.stop()


async def _live(story: Story) -> None:
    await _all(_xai_fails_the_test(story), _requests_are_wrong(story), _syncs_fail(story))
    await story.world.clear_faults()  # or the circuit opens for everybody
    await _a_program_spills(story)
    await _services_die(story)
    await _the_database_is_held(story)
    await _one_life(story)
    for url in (story.world.address.connector_url, story.world.address.syncer_url, story.world.address.ledger_url):
        story.metrics.append((await story.world._http.get(f"{url}/metrics")).content)  # noqa: SLF001 - another path


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


async def _xai_fails_the_test(story: Story) -> None:
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

        await _all(*(fail(name) for name in _faults("", target)))


async def _syncs_fail(story: Story) -> None:
    async def fail(name: str) -> None:
        team = await story.team(f"sync-{name}")
        integration_id = await story.world.connect(team)
        fault, code = _faults(team.key, "http://127.0.0.1:9/")[name]
        await story.world.control("POST", "/faults", {"team_id": team.team_id, "times": None, **fault})
        path = f"/accounts/{team.account_id}/integrations/{integration_id}/sync"
        await story.world.request("POST", path, {})
        await _told(story, team, integration_id, code)
        story.note(f"Force Sync: {name}", code)

    await _all(*(fail(name) for name in ("401", "403", "404", "500", "unreadable", "html", "reset", "cut")))


async def _told(story: Story, team: Team, integration_id: str, code: str) -> None:
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

    story.note("a command rejected", str(await until(results, bool)))


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
    await until(back, bool)
    await until(answers, bool)
    await world.backfilled(team, integration_id)


async def _the_database_is_held(story: Story) -> None:
    world, team = story.world, await story.team("held")
    body = {"team_id": team.team_id, "management_key": team.key, "plan": "free"}
    path = f"/accounts/{team.account_id}/integrations"
    async with world.locked("connector.integrations"):
        adding = asyncio.create_task(world.request("POST", path, body))
        waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'connector' AND wait_event_type = 'Lock'"
        (row, *_) = await until(lambda: world.rows(waiting), bool)
        await world.rows("SELECT pg_terminate_backend(%s)", row[0])
        answer = await adding
    assert answer.status_code == 503, answer.status_code
    story.note("database ends the connection while adding", "503")


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
    await _told(story, team, integration_id, "key_refused")
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
    await _told(story, team, integration_id, "unsealable")
    story.note("a sealed key does not open", "unsealable")
    assert (await world.request("DELETE", f"{one}?history=erase")).is_success


async def _everywhere(story: Story, canary: Canary, *, but: tuple[str, ...] = ()) -> list[Hit]:
    """Every place but the topics `but`, and the broker's files of them."""
    world, folder = story.world, story.world.system._folder  # noqa: SLF001 - where everything is kept
    hits = in_files(canary, folder, but=[f"kafka/data/{topic}-" for topic in but])
    hits += in_processes(canary, world.system.address().pids)
    hits += await in_topics(canary, world, but=but)
    hits += await in_tables(canary, world.address.database_url)
    pieces = {"an answer": story.answers, "metrics": story.metrics, "a redirect": story.followed}
    return hits + [hit for place, found in pieces.items() for data in found for hit in canary.search(place, data)]


async def test_the_key_is_nowhere_after_a_whole_life(story: Story) -> None:
    hits = await _everywhere(story, story.canary)

    assert hits == [], "\n".join(f"{name:50} {seen}" for name, seen in story.provoked.items())


async def test_what_a_program_spills_goes_no_further(story: Story) -> None:
    assert await _everywhere(story, story.spilt, but=SPILT_INTO) == []


async def test_the_search_reads_what_the_test_wrote(story: Story) -> None:
    """On the running system: where a key is known to stand, it is found."""
    topics = {hit.place.split(" of ")[1].split("/")[0] for hit in await in_topics(story.spilt, story.world)}
    files = in_files(story.spilt, story.world.system._folder)  # noqa: SLF001 - where everything is kept

    assert topics == set(SPILT_INTO)
    assert {"itself"} <= {hit.form for hit in files}


async def test_enough_went_wrong(story: Story) -> None:
    assert len(story.provoked) >= AT_LEAST, story.provoked
    assert story.followed == []


async def test_a_token_is_nowhere_either(story: Story) -> None:
    token = story.world.address.token.encode()
    folder = story.world.system._folder  # noqa: SLF001 - where everything is kept

    assert [path.name for path in folder.rglob("*") if path.is_file() and token in path.read_bytes()] == []


async def test_no_service_can_leave_a_dump_of_its_memory(story: Story) -> None:
    pids = story.world.system.address().pids
    for name in ("connector", "syncer", "ledger"):
        limits = Path(f"/proc/{pids[name]}/limits").read_text()
        line = next(one for one in limits.splitlines() if one.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"], name


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "itself": lambda key: key,
    "in capitals": bytes.upper,
    "reversed": lambda key: key[::-1],
    "hex": lambda key: key.hex().encode(),
    "HEX": lambda key: key.hex().upper().encode(),
    "URL-quoted": lambda key: b"".join(b"%%%02X" % one for one in key),
    "url-quoted": lambda key: b"".join(b"%%%02x" % one for one in key),
    "partly URL-quoted": lambda key: quote_from_bytes(key + b"/ ").encode(),
    "JSON-escaped": lambda key: b"".join(b"\\u%04x" % one for one in key),
    "JSON in JSON": lambda key: b"".join(b"\\\\u%04X" % one for one in key),
    "UTF-16": lambda key: key.decode().encode("utf-16"),
    "UTF-16 BE": lambda key: key.decode().encode("utf-16-be"),
    "cut off": lambda key: key[:30],
    "zlib": lambda key: packed(key)["zlib"],
    "gzip": lambda key: packed(key)["gzip"],
    **{f"base64 + {at}": lambda key, at=at: b64encode(b"\xff" * at + key + b"\xfe" * at) for at in range(4)},  # type: ignore[misc]  # `at` is bound here
    **{f"base64url + {at}": lambda key, at=at: urlsafe_b64encode(b"\xff" * at + key) for at in range(4)},  # type: ignore[misc]  # `at` is bound here
}


@pytest.mark.parametrize("form", FORMS)
def test_a_leak_is_found_in_every_form(form: str) -> None:
    canary = Canary()
    leaked = FORMS[form](canary.key().encode())

    around = leaked if form in {"zlib", "gzip"} else b"before " + leaked + b" after"
    assert canary.search("a log", around)
    assert not Canary().search("a log", around)


@pytest.mark.parametrize("where", ["log line", "name", "deep"])
def test_a_leak_is_found_in_files(tmp_path: Path, where: str) -> None:
    canary = Canary()
    paths = {"log line": "logs/a.log", "name": canary.key(), "deep": "a/b/c/000001"}
    path = tmp_path / paths[where]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("nothing" if where == "name" else f"line\n{canary.key()}\n")

    assert in_files(canary, tmp_path)
    assert in_files(Canary(), tmp_path) == []


@pytest.mark.parametrize("part", ["key", "value", "header", "header's name"])
def test_a_leak_is_found_in_records(part: str) -> None:
    canary = Canary()
    leak = canary.key().encode()
    headers = {"header": [("x", leak)], "header's name": [(canary.key(), b"")]}.get(part, [])
    key, value = leak if part == "key" else None, leak if part == "value" else None
    record: Any = ConsumerRecord("topic", 0, 0, 0, 0, key, value, None, 0, 0, headers)

    assert [hit.form for hit in in_records(canary, "topic", [record])] != []
    assert in_records(Canary(), "topic", [record]) == []


@pytest.mark.parametrize("how", ["cmdline", "environ"])
def test_a_leak_is_found_in_processes(how: str) -> None:
    canary = Canary()
    argv = [sys.executable, "-c", "print(flush=True); input()", *([canary.key()] if how == "cmdline" else [])]
    env = os.environ | ({"LEAK": canary.key()} if how == "environ" else {})
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        process.stdout.readline()
        hits = in_processes(canary, {"dummy": process.pid})
        process.communicate(b"\n")

    assert {hit.place for hit in hits} == {f"{how} of dummy"}


@pytest.mark.parametrize("kind", ["text", "jsonb", "bytea", "text[]"])
async def test_a_leak_is_found_in_tables(postgres: str, kind: str) -> None:
    import psycopg  # noqa: PLC0415 - here only

    canary, name = Canary(), f"leak_{uuid.uuid4().hex}"
    leak = {"text": canary.key(), "jsonb": f'{{"a": ["{canary.key()}"]}}', "text[]": [canary.key()]}.get(kind)
    url = postgres.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"CREATE TABLE {name} (leak {kind})".encode())
        value = packed(canary.key().encode())["zlib"] if kind == "bytea" else leak
        await connection.execute(f"INSERT INTO {name} VALUES (%s)".encode(), [value])  # noqa: S608 - our own name
        try:
            assert {hit.place for hit in await in_tables(canary, postgres)} == {f"public.{name}.leak"}
        finally:
            await connection.execute(f"DROP TABLE {name}".encode())
