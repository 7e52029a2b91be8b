"""The response: an answer or refusal, changed by the fault and the client's Accept-Encoding."""

import gzip
from dataclasses import dataclass, replace

from simulator.faults import Fault
from simulator.refusals import refusal_body

HTML = b"<!doctype html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
TEMPORARY_REDIRECT = 307


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes


def json_response(status: int, body: bytes) -> Response:
    return Response(status, {"content-type": "application/json"}, body)


def faulty(response: Response, fault: Fault) -> Response:
    """Change the response as the fault specifies."""
    if fault.status is not None:
        response = json_response(
            fault.status, response.body if fault.status == response.status else _scripted(fault.status)
        )
    if fault.redirect is not None:
        response = Response(fault.status or TEMPORARY_REDIRECT, {"location": fault.redirect}, b"")
    if fault.html:
        response = replace(response, headers={"content-type": "text/html"}, body=HTML)
    if fault.body is not None:
        response = replace(response, body=fault.body.encode())
    if fault.gzip_bomb is not None:
        bomb = gzip.compress(b" " * fault.gzip_bomb)
        response = replace(response, headers={**response.headers, "content-encoding": "gzip"}, body=bomb)
    return replace(response, headers=response.headers | {name.lower(): value for name, value in fault.headers.items()})


def compressed(response: Response, accept_encoding: str) -> Response:
    """Compress with gzip where that is accepted and the fault set no other encoding."""
    if "gzip" not in accept_encoding or "content-encoding" in response.headers or not response.body:
        return response
    headers = {**response.headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    return replace(response, headers=headers, body=gzip.compress(response.body, mtime=0))


def _scripted(status: int) -> bytes:
    return refusal_body(status, "Scripted by a test")
