"""The OpenAPI documents: the services are built as in production, and never started."""

import base64
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import connector.app
import ledger.app
from common.http.openapi import Problem, answers
from common.settings import ServiceSettings
from connector.settings import ConnectorSettings
from fastapi import FastAPI
from ledger.settings import LedgerSettings

CONNECTOR = "Connects xAI teams: tests their keys, seals them, and shows the state of each integration."
LEDGER = "Shows what teams spent on each model each day, exact to the digit."
EVERYWHERE = (
    "Failures are application/problem+json (RFC 9457) with a stable code. Ignore unknown members of responses. "
    "Money is a decimal string: never parse it as a float. Without a token there are also /livez, /readyz and /metrics."
)

NAMES = {
    "By": "BreakdownBy",
    "Code": "ProblemCode",
    "File": "ExportFile",
    "Format": "ExportFormat",
    "History": "HistoryChoice",
    "Profile": "FocusProfile",
    "Status": "IntegrationStatus",
    "Syncs": "SyncHistory",
}
"""Names of schemas that generated code cannot have as they are: a browser has a `History`, a Go package one `Error`."""
TAGS = {"events": "events", "sync": "syncs", "syncs": "syncs", "sealing-key": "sealing"}
"""By the last part of a path; the other routes are of what the service is about."""
ANY_PROBLEM = {
    "description": "Any other failure.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def documents() -> dict[str, dict[str, Any]]:
    """The HTTP API of each service."""
    with TemporaryDirectory() as name:
        common = _common(Path(name))
        connecting = ConnectorSettings.model_validate(common)
        counting = LedgerSettings.model_validate(common)
        return {
            "connector": _document(connector.app.create_app(connecting), "integrations", CONNECTOR, connecting),
            "ledger": _document(ledger.app.create_app(counting), "costs", LEDGER, counting),
        }


def _document(app: FastAPI, tag: str, what: str, settings: ServiceSettings) -> dict[str, Any]:
    document = openapi_of(app, tag)
    document["info"]["description"] = f"{what} {EVERYWHERE}"
    document["servers"] = [
        {"url": f"http://{settings.host}:{settings.port}", "description": "Where it listens by default."}
    ]
    return document


def openapi_of(app: FastAPI, tag: str) -> dict[str, Any]:
    """OpenAPI 3.1 of `app`, which is about `tag`; its routes declare problems by `answers`, and names by `operation_id`."""
    document = app.openapi()
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    shared = {f"problem_{status}": answer for status, answer in answers().items()}
    for path, operation in ((path, one) for path, of_path in document["paths"].items() for one in of_path.values()):
        operation["tags"] = [TAGS.get(path.rpartition("/")[2], tag)]
        operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
        for parameter in operation.get("parameters", []):
            _without_null(parameter["schema"])
        operation["responses"] = {status: _shared(answer, shared) for status, answer in operation["responses"].items()}
        operation["responses"]["default"] = {"$ref": "#/components/responses/problem"}
    components = document["components"]
    components["schemas"] = components["schemas"] | problem.pop("$defs") | {"Problem": problem}
    components["responses"] = shared | {"problem": ANY_PROBLEM}
    generated: dict[str, Any] = _for_generators(document)
    schemas = generated["components"]["schemas"]
    generated["components"]["schemas"] = {name: schemas[name] | {"title": name} for name in sorted(schemas)}
    return generated


def _for_generators(part: Any) -> Any:  # noqa: ANN401 - any part of a document
    """The same with other names, a type beside each enum, no `writeOnly` (optional in Go), and no empty list as default."""
    if isinstance(part, list):
        return [_for_generators(one) for one in part]
    if not isinstance(part, dict):
        return _renamed(part) if isinstance(part, str) else part
    found = {
        NAMES.get(name, name): _for_generators(one)
        for name, one in part.items()
        if name != "writeOnly" and (name, one) != ("default", [])
    }
    if "oneOf" in found:
        found.pop("type", None)  # FastAPI takes every stream for a string
    values = found.get("enum", [found.get("const")])
    return {"type": "string"} | found if isinstance(values, list) and all(isinstance(v, str) for v in values) else found


def _renamed(text: str) -> str:
    """A reference to a schema that has another name."""
    place, slash, name = text.rpartition("/schemas/")
    return f"{place}{slash}{NAMES[name]}" if slash and name in NAMES else text


def _without_null(schema: dict[str, Any]) -> None:
    """An optional parameter is never null: no path, query or header can express it."""
    others = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(others) == 1:
        del schema["anyOf"]
        schema |= others[0]


def _shared(answer: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    same = next((name for name, one in shared.items() if one == answer), None)
    return {"$ref": f"#/components/responses/{same}"} if same else answer


def _common(folder: Path) -> dict[str, str]:
    """Settings that lead nowhere: nothing is connected before a service starts."""
    keys = {"current": "none", "keys": {"none": base64.b64encode(os.urandom(32)).decode()}}
    return {
        "kafka_bootstrap_servers": "127.0.0.1:9",
        "database_url": "postgresql+psycopg://nobody@127.0.0.1:9/nothing",
        "api_tokens_file": _file(folder / "tokens", {"tokens": []}),
        "keyring_file": _file(folder / "keyring", keys),
        "sealing_key_file": _file(folder / "sealing-key", keys),
    }


def _file(path: Path, content: object) -> str:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return str(path)
