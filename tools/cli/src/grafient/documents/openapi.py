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


def documents() -> dict[str, dict[str, Any]]:
    """The HTTP API of each service."""
    with TemporaryDirectory() as name:
        common = _common(Path(name))
        connecting = ConnectorSettings.model_validate(common)
        counting = LedgerSettings.model_validate(common)
        return {
            "connector": _document(connector.app.create_app(connecting), CONNECTOR, connecting),
            "ledger": _document(ledger.app.create_app(counting), LEDGER, counting),
        }


def _document(app: FastAPI, what: str, settings: ServiceSettings) -> dict[str, Any]:
    document = openapi_of(app)
    document["info"]["description"] = f"{what} {EVERYWHERE}"
    document["servers"] = [
        {"url": f"http://{settings.host}:{settings.port}", "description": "Where it listens by default."}
    ]
    return document


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of `app`; its routes declare their problems by `answers`, and their names by `operation_id`."""
    document = app.openapi()
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    shared = {f"problem_{status}": answer for status, answer in answers().items()}
    for operation in (one for path in document["paths"].values() for one in path.values()):
        operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
        for parameter in operation.get("parameters", []):
            _without_null(parameter["schema"])
        operation["responses"] = {status: _shared(answer, shared) for status, answer in operation["responses"].items()}
    components = document["components"]
    components["schemas"] = dict(sorted((components["schemas"] | problem.pop("$defs") | {"Problem": problem}).items()))
    components["responses"] = shared
    return document


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
