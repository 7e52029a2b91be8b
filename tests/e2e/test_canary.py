"""A key passes through every state and every error that can be provoked, and is found nowhere afterwards."""

import asyncio
import json
import os
import re
import signal
import uuid
from collections.abc import AsyncIterator, Collection, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from common.migrations import SERVICES
from contract.problems import Code
from contract.rules import REFUSALS
from contract.topics import COMMAND_RESULTS

from tests.support.collector import Collector
from tests.support.commands import grafient, in_process
from tests.support.secret_search import Canaries, Canary, Hit, in_files, in_processes, in_tables, in_topics
from tests.support.system import SystemClient, running_system
from tests.support.waiting import until
from tests.support.xai import Team

pytestmark = pytest.mark.timeout(420)  # all of it is provoked before the first test
AT_LEAST = 30
SPANS = 1_000
"""In which no key is, at least; ten times as many in the thorough test."""
SLOW = "hang"
"""Lasts as long as the deadline of a connection test."""
SPILT_INTO = ("xai.commands.v1", "xai.credentials.v1")
"""Topics to which the test itself writes keys in the clear, as a faulty program would: they are there, and nowhere else."""
OPENING = ("reconcile --ask-xai", "keys rewrap")
"""Commands that open every key: they harden their process, so they have one of their own."""
SHOWING = ("keys list", "keys check", "dead-letters list --all", "windows list", "questions list", "status")
"""Commands that show what is stored."""
ENVELOPE = {"ce_specversion": b"1.0", "ce_source": b"/test", "content-type": b"application/json", "ce_id": b"1"}


@dataclass
class Story:
    """What was provoked, and all that was answered."""

    client: SystemClient
    canary: Canary = field(default_factory=Canary)
    spilt: Canary = field(default_factory=lambda: Canary(name="spilt"))
    provoked: dict[str, str] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    redirected: list[bytes] = field(default_factory=list)
    """Requests that reached the target of a redirect."""
    metrics: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    """What commands of operators printed."""
    link: dict[str, str] = field(default_factory=dict)
    """Parameters of a link that opened the console."""
    collector: Collector = field(default_factory=Collector)
    """Of OpenTelemetry: it has a span of each step of all this."""

    async def keep(self, response: httpx.Response) -> None:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
            self.answers.append(repr(response.headers).encode() + response.content)

    def note(self, name: str, seen: str) -> None:
        assert name not in self.provoked
        self.provoked[name] = seen

    async def team(self, name: str) -> Team:
        """A team whose keys are all recognisable."""
        keys = [self.canary.key(f"{name}-{one}") for one in ("first", "second")]
        team = await self.client.team(keys=[{"key": key, "name": key[-12:]} for key in keys])
        return replace(team, key=keys[0])

    async def ask(self, name: str, method: str, path: str, status: int, **options: Any) -> httpx.Response:
        """A request that is to end with `status`; `path` without a host is the connector's."""
        url = path if path.startswith("http") else f"{self.client.address.connector_url}/v1{path}"
        answer = await self.client.http.request(method, url, **options)
        assert answer.status_code == status, (name, answer.status_code)
        self.note(name, f"{status} {answer.json().get('code')}")
        return answer


@pytest.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """The whole system with everything it can log, and the whole story on it."""
    folder = tmp_path_factory.mktemp("canary")
    with Collector() as collector:
        settings = {
            "LOG_LEVEL": "DEBUG",
            "SYNCER_HEAL_EVERY_SECONDS": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        async with running_system(folder, settings=settings) as system, SystemClient(system) as client:
            story = Story(client, collector=collector)
            client.http.event_hooks["response"].append(story.keep)
            await _provoke_all(story)
            await _many_requests(story, SPANS)
            yield story


async def _provoke_all(story: Story) -> None:
    slow = asyncio.create_task(_xai_fails_the_test(story, {SLOW}))
    quick = _faults("", "").keys() - {SLOW}
    await _all(
        _xai_fails_the_test(story, quick), _requests_are_wrong(story), _syncs_fail(story), _a_program_spills(story)
    )
    await story.client.clear_faults()  # or the circuit opens for everybody
    await _the_broker_is_held(story)
    await slow
    await story.client.clear_faults()
    await _services_die(story)
    await _the_database_is_held(story)
    await _too_often(story)
    await _every_state(story)
    await _operators_look(story)
    await _a_customer_looks(story)
    for service in SERVICES:
        story.metrics.append((await story.client.http.get(f"{story.client.system.url_of(service)}/metrics")).content)


async def _all(*parts: Coroutine[Any, Any, None]) -> None:
    """Run side by side to the end; raise all that did not go as expected."""
    ended = await asyncio.gather(*parts, return_exceptions=True)
    if failed := [one for one in ended if isinstance(one, Exception)]:
        raise ExceptionGroup("not as expected", failed)


def _faults(key: str, redirect: str) -> dict[str, tuple[dict[str, Any], str]]:
    """What xAI does, and the code that the customer sees; its answers repeat the key."""
    echo = f'{{"error": "no: Bearer {key}", "{key}": 1}}'
    echoing = {"body": echo, "headers": {"x-echo": key}}
    return {
        "400": (echoing | {"status": 400, "body": f'{{"detail": "{key}"}}'}, "request_refused"),
        "400 about the key": (echoing | {"status": 400, "body": f'{{"error": "wrong key: {key}"}}'}, "key_refused"),
        "403 on the way": ({"status": 403, "html": True, "headers": {"x-echo": key}}, "xai_unavailable"),
        "401": (echoing | {"status": 401}, "key_refused"),
        "403": (echoing | {"status": 403}, "access_denied"),
        "404": (echoing | {"status": 404}, "team_unknown"),
        "429": (echoing | {"status": 429}, "rate_limited"),
        "500": (echoing | {"status": 500}, "xai_unavailable"),
        "503": (echoing | {"status": 503}, "xai_unavailable"),
        "unreadable": (echoing, "answer_unreadable"),
        "html": ({"html": True}, "answer_unreadable"),
        "bomb": ({"gzip_bomb": 64 * 1024 * 1024}, "answer_unreadable"),
        "redirect": ({"redirect": redirect}, "xai_unavailable"),
        "cut": ({"cut_after_bytes": 20}, "answer_unreadable"),
        "reset": ({"reset": True}, "xai_unavailable"),
        "hang": ({"hang": True}, "xai_unavailable"),
    }


async def _xai_fails_the_test(story: Story, names: Collection[str]) -> None:
    async def catch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        story.redirected.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(catch, "127.0.0.1", 0) as server:
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

        async def fail(name: str) -> None:
            team = await story.team(f"test-{name}".replace(" ", "-"))  # a key has no spaces
            fault, code = _faults(team.key, target)[name]
            await story.client.fail(team, **fault)
            answer = await story.client.request("POST", f"{team.integrations}/test", team.credentials())
            assert (answer.status_code, answer.json().get("code")) == (200, code), (name, answer.json().get("code"))
            story.note(f"Test Connection: {name}", code)

        await _all(*(fail(name) for name in names))


async def _syncs_fail(story: Story) -> None:
    async def fail(name: str) -> None:
        team = await story.team(f"sync-{name}")
        integration_id = await story.client.connect(team)
        fault, code = _faults(team.key, "http://127.0.0.1:9/")[name]
        await story.client.fail(team, **fault)
        await story.client.request_sync(team, integration_id)
        if Code(code) in REFUSALS:
            await story.client.pass_first_refusal(integration_id)
        await _ends_with(story, team, integration_id, code)
        story.note(f"Force Sync: {name}", code)

    await _all(*(fail(name) for name in ("401", "403", "404", "500", "unreadable", "html", "reset", "cut")))


async def _ends_with(story: Story, team: Team, integration_id: str, code: str) -> None:
    async def codes() -> list[Any]:
        return [one["code"] for one in await story.client.syncs(team, integration_id)]

    await until(codes, lambda got: code in got)


async def _requests_are_wrong(story: Story) -> None:
    key, account = story.canary.key('wrong/+%"é'), "/accounts/wrong"
    plain, add = story.canary.key("wrong"), f"{account}/integrations"
    good = {"team_id": str(uuid.uuid4()), "management_key": key, "plan": "free"}
    costs = f"{story.client.address.ledger_url}/v1{account}/costs"
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
        answer = await story.client.request("POST", test, good | {"management_key": bad} | {"plan": "free"})
        code = answer.json().get("code")
        assert code in {"key_malformed", "request_malformed"}, code
        story.note(f"malformed key: {name}", code)


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
        await story.client.publish(SPILT_INTO[0], account, command, ENVELOPE | {"ce_type": b"AddIntegration"})
    await story.client.publish(SPILT_INTO[0], key, b"{}", ENVELOPE | {"ce_type": key.encode()})
    await story.client.publish(
        SPILT_INTO[1], str(uuid.uuid4()), key.encode(), ENVELOPE | {"ce_type": b"CredentialSealed"}
    )
    await story.client.publish(SPILT_INTO[1], key, key.encode(), {"ce_type": b"CredentialSealed", key: key.encode()})

    async def dead_letters() -> list[str]:
        return [headers["dead_letter_topic"] for headers in await story.client.dead_letters()]

    topics = await until(dead_letters, lambda got: all(got.count(topic) >= 2 for topic in SPILT_INTO))
    for number, topic in enumerate(topics):
        story.note(f"a message is dead-lettered: {number}", topic)
    results = await until(lambda: story.client.records(COMMAND_RESULTS.name))
    story.note("a command is rejected", str(len(results)))


async def _services_die(story: Story) -> None:
    client, team = story.client, await story.team("crash")
    integration_id = await client.add(team, "pro")
    killed = {name: client.signal(name, signal.SIGKILL) for name in SERVICES}
    for name, pid in killed.items():
        story.note(f"kill -9: {name}", "killed")
        await client.replaced(name, pid)
    await client.services_answer()
    await client.backfilled(team, integration_id)


async def _a_customer_looks(story: Story) -> None:
    """A key is typed into the console's form, refused, and accepted."""
    client, team = story.client, await story.team("console")
    address, _, query = client.system.console_link(team.account_id).partition("/enter?")
    story.link = dict(parse_qsl(query))
    hooks = {"response": [story.keep]}
    async with httpx.AsyncClient(base_url=address, event_hooks=hooks, timeout=30, trust_env=False) as browser:
        assert (await browser.get("/enter", params=story.link)).status_code == httpx.codes.OK
        assert (await browser.post("/enter", data=story.link)).status_code == httpx.codes.SEE_OTHER
        again = await browser.post("/enter", data=story.link)
        story.note("a link of the console is used again", str(again.status_code))
        form = re.search(r'name="form_token" value="([^"]+)"', (await browser.get("/integrations")).text)
        assert form
        typed = {"form_token": form[1], "team_id": team.team_id, "management_key": team.key}
        fault, _ = _faults(team.key, "")["401"]
        await client.fail(team, **fault)
        refused = await browser.post("/integrations", data=typed)
        story.note("a key in the console is refused", str(refused.status_code))
        await client.clear_faults()
        added = await browser.post("/integrations", data=typed)
        assert added.status_code == httpx.codes.SEE_OTHER, added.text
        for page in ("/", "/models", "/integrations", "/export"):
            assert (await browser.get(page)).status_code == httpx.codes.OK


async def _operators_look(story: Story) -> None:
    """Commands that open keys or show what is stored, also where xAI repeats the key in its refusal."""
    client, team = story.client, await story.team("operators")
    await client.connect(team)
    fault, _ = _faults(team.key, "")["403"]
    await client.fail(team, **fault)
    env = client.system.environment_of("syncer") | client.environment
    apart = {command: asyncio.create_task(grafient(*command.split(), "--json", env=env)) for command in OPENING}
    here = {command: in_process(*command.split(), "--json", env=env) for command in SHOWING}
    for command, running in (here | apart).items():
        completed = await running
        json.loads(completed.stdout)
        story.note(f"grafient {command}", f"status {completed.status}")
        story.outputs.append((completed.stdout + completed.stderr).encode())
    await client.clear_faults()


async def _the_database_is_held(story: Story) -> None:
    client, team = story.client, await story.team("held")
    body = team.credentials() | {"plan": "free"}
    path = team.integrations
    async with client.locked("connector.integrations"):
        adding = asyncio.create_task(client.request("POST", path, body))
        waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'connector' AND wait_event_type = 'Lock'"
        (pid,) = await client.row_is_there(waiting)
        await client.rows("SELECT pg_terminate_backend(%s)", pid)
        answer = await adding
    assert answer.status_code == 503, answer.status_code
    story.note("database ends the connection while adding", "503")


async def _the_broker_is_held(story: Story) -> None:
    client, team = story.client, await story.team("unanswered")
    pid = client.system.address().pids["kafka"]
    os.kill(pid, signal.SIGSTOP)
    try:
        integration_id = await client.add(team)
        await story.ask("the broker does not answer", "POST", f"{team.path(integration_id)}/sync", 503, json={})
    finally:
        os.kill(pid, signal.SIGCONT)
    await client.backfilled(team, integration_id)


async def _too_often(story: Story) -> None:
    """Until the account's connection tests are used up."""
    team = await story.team("often")
    body = team.credentials()
    for _ in range(100):
        answer = await story.client.request("POST", f"{team.integrations}/test", body)
        if answer.status_code != httpx.codes.OK:
            break
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    story.note("too many tests", str(answer.json()["code"]))


async def _every_state(story: Story) -> None:
    """Added, synced, replaced, renamed, put on another plan, revoked, removed, added again, unsealable, erased."""
    client, team = story.client, await story.team("life")
    integration_id = await client.connect(team)
    one = team.path(integration_id)
    add = team.credentials() | {"plan": "free"}
    await story.ask("connected already", "POST", team.integrations, 409, json=add)
    await story.ask(
        "another account's",
        "PUT",
        f"/accounts/stranger/integrations/{integration_id}/credential",
        404,
        json={"management_key": team.key},
    )
    refused = {"management_key": story.canary.key("refused")}
    await story.ask("a replacement is refused", "PUT", f"{one}/credential", 422, json=refused)
    await client.force(team, integration_id, trigger="visit")
    second = story.canary.key("life-second")
    assert (await client.request("PUT", f"{one}/credential", {"management_key": second})).is_success
    assert (await client.request("PATCH", one, {"label": "Renamed"})).is_success
    assert (await client.request("PUT", f"/accounts/{team.account_id}/plan", {"plan": "pro"})).is_success
    await client.backfilled(team, integration_id)
    await client.control("POST", "/keys/revoke", {"key": second})
    await client.force_until_refused(team, integration_id)
    await _ends_with(story, team, integration_id, "key_refused")
    story.note("a key is revoked", "key_refused")
    assert (await client.request("DELETE", one)).is_success
    assert await client.add(team) == integration_id
    await client.backfilled(team, integration_id)
    await client.rows(
        "UPDATE syncer.credentials SET envelope = jsonb_set(envelope, '{ciphertext}', '\"AAAA\"') "
        "WHERE integration_id = %s RETURNING 1",
        integration_id,
    )
    await client.request("POST", f"{one}/sync", {})
    await _ends_with(story, team, integration_id, "key_unavailable")
    story.note("a sealed key does not open", "key_unavailable")
    assert (await client.request("DELETE", f"{one}?history=erase")).is_success


async def _many_requests(story: Story, spans: int) -> None:
    """Until there are so many; each request has a key where none belongs."""
    client, team = story.client, await story.team(f"spans-{spans}")
    url = f"{client.address.connector_url}/v1{team.path(await client.connect(team))}"
    spilt = {"x-key": team.key, "baggage": f"key={team.key}", "tracestate": f"key={team.key}"}
    traced = {"traceparent": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"}

    async def ask() -> None:
        while len(story.collector.spans) < spans:
            answer = await client.http.get(url, headers=spilt | traced)
            assert answer.status_code == httpx.codes.OK, answer.status_code

    await _all(*(ask() for _ in range(4)))


@pytest.fixture(scope="module")
async def hits(story: Story) -> list[Hit]:
    """Every mark that was found, in any place; each place is read once."""
    client, folder = story.client, story.client.system._folder  # noqa: SLF001 - where everything is kept
    marks = Canaries([story.canary, story.spilt, Canary(client.address.token, "token")])
    found = in_files(marks, folder) + in_processes(marks, client.system.address().pids)
    found += await in_topics(marks, client) + await in_tables(marks, client.address.database_url)
    pieces = {
        "an answer": story.answers,
        "metrics": story.metrics,
        "a redirect": story.redirected,
        "an output": story.outputs,
        "spans": story.collector.bodies,
    }
    return found + [hit for place, texts in pieces.items() for data in texts for hit in marks.search(place, data)]


def _report(hits: list[Hit], story: Story) -> str:
    """What was found, and what was provoked before."""
    places = [f"{hit.mark} as {hit.form} in {hit.place}" for hit in hits[:20]]
    return "\n".join([*places, *(f"{name:50} {seen}" for name, seen in story.provoked.items())])


async def test_the_key_is_nowhere_after_everything(story: Story, hits: list[Hit]) -> None:
    found = [hit for hit in hits if hit.mark == "key"]

    assert found == [], _report(found, story)


async def test_a_key_that_a_program_spills_stays_on_its_topic(story: Story, hits: list[Hit]) -> None:
    spilt = [hit for hit in hits if hit.mark == "spilt"]
    further = [hit for hit in spilt if not any(topic in hit.place for topic in SPILT_INTO)]

    assert further == [], _report(further, story)
    for topic in SPILT_INTO:  # where it is known to be, the search finds it: in records and in the broker's files
        assert any(hit.place.endswith(".log") and f"{topic}-" in hit.place for hit in spilt), topic
        assert any(f" of {topic}/" in hit.place for hit in spilt), topic


async def test_a_token_is_nowhere_either(story: Story, hits: list[Hit]) -> None:
    kept = "token"  # the file of a local folder that only its owner can read, from which `grafient up` prints it again
    found = [hit for hit in hits if hit.mark == "token" and hit.place != kept]

    assert found == [], _report(found, story)


async def test_a_link_of_the_console_is_in_no_file_process_or_table(story: Story) -> None:
    client = story.client
    link = Canary(story.link["signature"], "link")
    found = in_files(link, client.system._folder) + in_processes(link, client.system.address().pids)  # noqa: SLF001 - as above

    assert found + await in_tables(link, client.address.database_url) == []


async def test_enough_was_provoked(story: Story) -> None:
    assert len(story.provoked) >= AT_LEAST, story.provoked
    assert story.redirected == []


@pytest.mark.thorough
async def test_the_key_is_in_none_of_many_spans(story: Story) -> None:
    await _many_requests(story, 10 * SPANS)

    marks = Canaries([story.canary, story.spilt])
    assert [hit for data in story.collector.bodies for hit in marks.search("spans", data)] == []


async def test_no_service_can_leave_a_dump_of_its_memory(story: Story) -> None:
    pids = story.client.system.address().pids
    for name in SERVICES:
        limits = Path(f"/proc/{pids[name]}/limits").read_text()
        line = next(one for one in limits.splitlines() if one.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"], name
