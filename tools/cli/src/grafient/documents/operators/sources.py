"""Finds the log events in the sources: names, levels and fields of every call that logs."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEVELS = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "CRITICAL",
}
ROOTS = ("libs/common/src", "services/*/src", "tools/cli/src")
OVERRIDE = "failed_event"
"""Argument of `Loop` by which a service names an event of its own."""

_NAME = re.compile(r"(?:[a-z_]+|<[a-z_]+>)\.(?:[a-z_]|<[a-z_]+>)+")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One place that logs."""

    name: str
    """`<name>` is what differs: the name of a loop or worker."""
    level: str
    service: str
    """Of the package that logs it; empty for what all share."""
    fields: tuple[str, ...]


def log_events(root: Path) -> list[LogEvent]:
    """Every one in the sources below `root`, a checkout. Raises ValueError for a use of `log` that hides its events."""
    paths = [path for pattern in ROOTS for folder in root.glob(pattern) for path in sorted(folder.rglob("*.py"))]
    return [event for path in paths for event in _events_of(path, ast.parse(path.read_text(encoding="utf-8")))]


def _events_of(path: Path, module: ast.Module) -> Iterator[LogEvent]:
    package = path.parts[path.parts.index("src") + 1]
    service = {"common": "", "grafient": "cron"}.get(package, package)
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    called = {id(call.func) for call in calls}
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in LEVELS
            and _is_logger(node.value)
            and id(node) not in called
        ):
            raise ValueError(f"{path}:{node.lineno}: `log.{node.attr}` is not called where it is named")
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg == OVERRIDE and (name := _text(keyword.value)):
                yield LogEvent(name, "WARNING", service, ("error",))
        if not _logs(call):
            continue
        level = LEVELS[_method(call)]
        fields = tuple(sorted(one.arg for one in call.keywords if one.arg and one.arg != "exc_info"))
        named = _text(call.args[0])
        for name in [named] if named else _names_in(module):
            yield LogEvent(name, level, service, fields)


def _logs(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in LEVELS or not call.args:
        return False
    return _is_logger(call.func.value)


def _is_logger(logger: ast.expr) -> bool:
    if isinstance(logger, ast.Call):
        return isinstance(logger.func, ast.Attribute) and logger.func.attr == "get_logger"
    return isinstance(logger, ast.Name) and logger.id == "log"


def _method(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)  # noqa: S101 - checked by _logs
    return call.func.attr


def _names_in(module: ast.Module) -> list[str]:
    """Where the name is a variable: every text of the module that is the name of an event and is not logged itself."""
    logged = {id(call.args[0]) for call in ast.walk(module) if isinstance(call, ast.Call) and _logs(call)}
    inner = {id(part) for node in ast.walk(module) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    texts = (
        _text(node)
        for node in ast.walk(module)
        if id(node) not in logged and (isinstance(node, ast.JoinedStr) or id(node) not in inner)
    )
    return sorted({text for text in texts if text})


def _text(node: ast.AST) -> str | None:
    """The name of an event that an expression is; None: it is none."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"<{ast.unparse(part).strip('{}f').split('.')[-1]}>"
            for part in node.values
        )
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    else:
        return None
    return text if _NAME.fullmatch(text) else None
