"""The console is a user of connector and ledger like any other: it shows their sentences, and asks for changes only."""

import pytest
from console.errors import UpstreamError
from console.schemas import Cards
from console.upstream import KEPT, Upstream

from tests.console.support.browsing import FakeService

PATH = "/v1/accounts/acme/integrations"


@pytest.fixture
def upstream(services: FakeService) -> Upstream:
    services.answers[PATH] = {"integrations": []}
    return Upstream(services.client())


async def test_an_answer_that_has_not_changed_is_not_sent_again(services: FakeService, upstream: Upstream) -> None:
    services.etags[PATH] = '"1"'
    first = await upstream.get(PATH, Cards)
    assert await upstream.get(PATH, Cards) is first
    assert [one.headers.get("If-None-Match") for one in services.asked[PATH]] == [None, '"1"']


async def test_of_many_answers_the_newest_are_kept(services: FakeService, upstream: Upstream) -> None:
    services.etags[PATH] = '"1"'
    for number in range(KEPT + 1):
        await upstream.get(PATH, Cards, {"number": str(number)})
    await upstream.get(PATH, Cards, {"number": "0"})
    await upstream.get(PATH, Cards, {"number": str(KEPT)})
    assert [one.headers.get("If-None-Match") for one in services.asked[PATH][-2:]] == [None, '"1"']


async def test_a_refusal_is_shown_in_the_services_own_words(services: FakeService, upstream: Upstream) -> None:
    services.problem(PATH, 422, code="key_refused", title="xAI refused the key", detail="Copy it again.", hints=["One"])
    with pytest.raises(UpstreamError) as refused:
        await upstream.get(PATH, Cards)
    shown = refused.value
    assert (shown.status, shown.code, shown.title, shown.detail, shown.hints) == (
        422,
        "key_refused",
        "xAI refused the key",
        "Copy it again.",
        ("One",),
    )


async def test_a_service_that_does_not_answer_is_reported(services: FakeService, upstream: Upstream) -> None:
    services.unavailable = True
    with pytest.raises(UpstreamError) as refused:
        await upstream.get(PATH, Cards)
    assert (refused.value.status, refused.value.code) == (503, "unavailable")


async def test_a_refusal_of_the_consoles_own_token_is_the_operators_matter(
    services: FakeService, upstream: Upstream
) -> None:
    services.problem(PATH, 401, code="token_refused", title="The token is refused", detail="Send another one.")
    with pytest.raises(UpstreamError) as refused:
        await upstream.get(PATH, Cards)
    assert refused.value.code == "unavailable"


async def test_what_is_no_problem_document_is_not_shown(services: FakeService, upstream: Upstream) -> None:
    services.problem(PATH, 502)
    with pytest.raises(UpstreamError) as refused:
        await upstream.get(PATH, Cards)
    assert refused.value.code == "unavailable"


async def test_a_change_is_sent_and_its_answer_read(services: FakeService, upstream: Upstream) -> None:
    assert await upstream.send("POST", PATH, {"label": "Team"}) == {"integrations": []}
    assert services.asked[PATH][0].content == b'{"label":"Team"}'
