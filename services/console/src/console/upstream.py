"""Connector and ledger, as any web app uses them: typed answers, their own sentences when they refuse."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
import structlog
from common.tracing import traced_client
from contract.problems import Code, cause_of
from pydantic import BaseModel, SecretStr

from console.errors import UpstreamError

log = structlog.get_logger()

KEPT = 200
"""Answers that are kept for their ETags."""
LARGEST_KEPT = 128 * 1024
"""Bytes; a larger answer is sent in full each time."""
DEADLINE = 20.0
"""Seconds: a test of a connection takes as long as xAI."""

A = TypeVar("A", bound=BaseModel)
Parameters = Mapping[str, str | None]


@dataclass(slots=True)
class Upstream:
    """One of both services; `http` carries its address and the console's token."""

    http: httpx.AsyncClient
    _kept: OrderedDict[str, tuple[str, BaseModel]] = field(default_factory=OrderedDict)

    async def get(self, path: str, kind: type[A], parameters: Parameters | None = None) -> A:
        """The answer of a route under /v1/accounts/, a new one or the one that is kept; raises UpstreamError."""
        url = _url(path, parameters or {})
        key = f"{kind.__name__} {url}"
        etag, kept = self._kept.get(key, ("", None))
        answer = await self._ask("GET", url, headers={"If-None-Match": etag} if etag else {})
        if answer.status_code == HTTPStatus.NOT_MODIFIED and isinstance(kept, kind):
            self._kept.move_to_end(key)
            return kept
        found = kind.model_validate_json(answer.content)
        self._keep(key, answer, found)
        return found

    async def stream(self, path: str, parameters: Parameters) -> httpx.Response:
        """The answer of a route, whose body is still to be read and then closed; raises UpstreamError."""
        return await self._ask("GET", _url(path, parameters), stream=True)

    async def send(self, method: str, path: str, body: Mapping[str, object] | None = None, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Change something; the JSON of the answer, None where it has none. Raises UpstreamError."""
        answer = await self._ask(method, httpx.URL(path, params=query), json=body)
        return answer.json() if answer.content else None

    async def _ask(self, method: str, url: httpx.URL, *, stream: bool = False, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        request = self.http.build_request(method, url, **options)
        try:
            answer = await self.http.send(request, stream=stream)
            if answer.is_error:
                await answer.aread()
        except httpx.HTTPError as error:
            log.warning("upstream.unavailable", address=str(self.http.base_url), error=type(error).__name__)
            raise unavailable() from None
        if answer.is_error:
            raise _refusal(answer)
        return answer

    def _keep(self, key: str, answer: httpx.Response, found: BaseModel) -> None:
        if "etag" not in answer.headers or len(answer.content) > LARGEST_KEPT:
            return
        self._kept[key] = answer.headers["etag"], found
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def client(address: str, token: SecretStr, *, connections: int = 50) -> httpx.AsyncClient:
    """A client of one service, not connected."""
    tls = address.startswith("https:")  # without it the authorities would take up memory for nothing
    return httpx.AsyncClient(
        base_url=address,
        headers={"Authorization": f"Bearer {token.get_secret_value()}"},
        timeout=DEADLINE,
        trust_env=False,
        transport=traced_client(
            httpx.AsyncHTTPTransport(
                verify=tls, retries=1, limits=httpx.Limits(max_connections=connections, keepalive_expiry=30)
            )
        ),
    )


def _url(path: str, parameters: Parameters) -> httpx.URL:
    return httpx.URL(path, params={name: one for name, one in parameters.items() if one is not None})


def unavailable() -> UpstreamError:
    """A service does not answer."""
    cause = cause_of(Code.UNAVAILABLE)
    return UpstreamError(cause.status, Code.UNAVAILABLE.value, cause.title, cause.detail)


def _refusal(answer: httpx.Response) -> UpstreamError:
    """The problem that a service reported; one that is about this console's own token is the operator's."""
    try:
        problem = answer.json()
        code, title, detail = (str(problem[name]) for name in ("code", "title", "detail"))
    except (ValueError, KeyError, TypeError):
        return unavailable()
    if code in {Code.TOKEN_REFUSED.value, Code.SCOPE_MISSING.value}:
        log.error("upstream.token_refused", address=str(answer.url.copy_with(path="/", query=None)), code=code)
        return unavailable()
    return UpstreamError(answer.status_code, code, title, detail, tuple(map(str, problem.get("hints", ()))))
