"""The response: an answer or refusal, changed by the fault and the client's Accept-Encoding."""

import gzip
from dataclasses import dataclass, replace

from simulator.faults import Fault
from simulator.refusals import refusal_body

HTML = b"<!doctype html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
TEMPORARY_REDIRECT = 307


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes


def json_reply(status: int, body: bytes) -> Reply:
    return Reply(status, {"content-type": "application/json"}, body)


def faulty(reply: Reply, fault: Fault) -> Reply:
    """Change the reply as the fault specifies."""
    if fault.status is not None:
        reply = json_reply(fault.status, reply.body if fault.status == reply.status else _scripted(fault.status))
    if fault.redirect is not None:
        reply = Reply(fault.status or TEMPORARY_REDIRECT, {"location": fault.redirect}, b"")
    if fault.html:
        reply = replace(reply, headers={"content-type": "text/html"}, body=HTML)
    if fault.body is not None:
        reply = replace(reply, body=fault.body.encode())
    if fault.gzip_bomb is not None:
        bomb = gzip.compress(b" " * fault.gzip_bomb)
        reply = replace(reply, headers={**reply.headers, "content-encoding": "gzip"}, body=bomb)
    return replace(reply, headers=reply.headers | {name.lower(): value for name, value in fault.headers.items()})


def compressed(reply: Reply, accept_encoding: str) -> Reply:
    """Compress with gzip where that is accepted and the fault set no other encoding."""
    if "gzip" not in accept_encoding or "content-encoding" in reply.headers or not reply.body:
        return reply
    headers = {**reply.headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    return replace(reply, headers=headers, body=gzip.compress(reply.body, mtime=0))


def _scripted(status: int) -> bytes:
    return refusal_body(status, "Scripted by a test")
