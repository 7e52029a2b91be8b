"""Where things are: members of the workspace stand alone, modules have tests, documents name files that exist."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = {
    path.name: path.parent.parent
    for path in sorted(ROOT.glob("*/*/src/*"))
    if path.is_dir() and not path.name.endswith(".egg-info") and path.name != "__pycache__"
}
"""Folder of each member of the workspace by the name of its package."""
LONGEST_FILE, LONGEST_LINE = 250, 120
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
PYDANTIC = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
READ_AT_RUN_TIME = {"tzdata", "python-multipart"}
"""Distributions that need no import of ours: zoneinfo reads the time zones, Starlette parses forms."""

LOGIC = ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.Match | ast.IfExp | ast.comprehension | ast.BoolOp
TESTED_ELSEWHERE = {
    "libs/contract/src/contract/messages": "tests/contract/test_messages.py",
    # what a file holds and how it changes is tested by what is in it: keys, tokens
    "libs/common/src/common/atomic_files.py": "tests/common/crypto/test_keyring.py",
    "libs/common/src/common/watched_file.py": "tests/common/crypto/test_keyring.py",
    "libs/common/src/common/crypto/key_files.py": "tests/common/crypto/test_keyring.py",
    # needs a process, a broker or a database of its own
    "libs/common/src/common/hardening.py": "tests/e2e/test_canary.py",
    "libs/common/src/common/kafka/client.py": "tests/common/test_service.py",
    "libs/common/src/common/kafka/found_topics.py": "tests/cli/topics/test_differences.py",
    "libs/common/src/common/kafka/ranges.py": "tests/e2e/test_replay.py",
    "libs/common/src/common/kafka/tolerant_consumer.py": "tests/common/kafka/test_consumer.py",
    "libs/common/src/common/replay.py": "tests/e2e/test_replay.py",
    "services/connector/src/connector/operations/replay.py": "tests/e2e/test_replaying.py",
    "services/syncer/src/syncer/operations/replay.py": "tests/e2e/test_replaying.py",
    "services/ledger/src/ledger/operations/replay.py": "tests/e2e/test_replay.py",
    "services/ledger/src/ledger/operations/reconcile.py": "tests/e2e/test_reconcile.py",
    "services/connector/src/connector/operations": "tests/e2e/test_operating.py",
    "services/syncer/src/syncer/operations/sealed.py": "tests/e2e/test_rotation.py",
    "tools/cli/src/grafient/dead_letters": "tests/e2e/test_dead_letters.py",
    "tools/cli/src/grafient/keys": "tests/e2e/test_rotation.py",
    "tools/cli/src/grafient/local": "tests/e2e/test_staying_up.py",
    "tools/cli/src/grafient/local/securing.py": "tests/e2e/test_secured.py",
    "tools/cli/src/grafient/local/fetch.py": "tests/cli/local/test_jars.py",
    "tools/cli/src/grafient/reconcile/commands.py": "tests/e2e/test_reconcile.py",
    "tools/cli/src/grafient/rebuild.py": "tests/e2e/test_rebuild.py",
    "tools/cli/src/grafient/restore.py": "tests/e2e/test_restoring.py",
    "tools/cli/src/grafient/lag.py": "tests/e2e/test_operating.py",
    "tools/cli/src/grafient/topics/groups.py": "tests/cli/topics/test_grow.py",
    "tools/cli/src/grafient/tutorial": "tests/cli/test_tutorial.py",
    "tools/cli/src/grafient/status.py": "tests/e2e/test_operating.py",
    "tools/cli/src/grafient/windows.py": "tests/e2e/test_operating.py",
    "tools/cli/src/grafient/raw.py": "tests/e2e/test_operating.py",
    # wiring: it works when the whole system does
    "services/connector/src/connector/app.py": "tests/e2e/test_connecting.py",
    "services/syncer/src/syncer/app.py": "tests/e2e/test_syncing.py",
    "services/console/src/console/app.py": "tests/console/conftest.py",
    "services/console/src/console/pages/static.py": "tests/console/test_security.py",
    "services/console/src/console/pages/views.py": "tests/console/pages/test_problems.py",
    # a part of one idea that is tested as a whole
    "libs/common/src/common/http/openapi.py": "tests/docs/test_documents.py",
    "libs/xai_usage/src/xai_usage/body.py": "tests/xai_usage/test_hostile.py",
    "services/connector/src/connector/commands/opening.py": "tests/connector/commands/test_handlers.py",
    "services/connector/src/connector/health.py": "tests/connector/test_outcomes.py",
    "services/connector/src/connector/request_bodies.py": "tests/connector/test_api.py",
    "services/ledger/src/ledger/history/answers.py": "tests/ledger/history/test_api.py",
    "services/ledger/src/ledger/operations": "tests/ledger/operations/test_rebuild.py",
    "services/ledger/src/ledger/reports/answers.py": "tests/ledger/reports/test_api.py",
    "services/ledger/src/ledger/reports/columns.py": "tests/ledger/reports/test_export.py",
    "services/ledger/src/ledger/store": "tests/ledger/test_store.py",
    "services/syncer/src/syncer/requests.py": "tests/syncer/test_handlers.py",
    "services/syncer/src/syncer/targets.py": "tests/syncer/test_handlers.py",
    "services/syncer/src/syncer/store.py": "tests/syncer/test_credentials.py",
    "services/syncer/src/syncer/windows.py": "tests/syncer/test_decide.py",
    "tools/cli/src/grafient/cli": "tests/cli/test_main.py",
    "tools/cli/src/grafient/documents": "tests/docs/test_documents.py",
    "tools/simulator/src/simulator": "tests/simulator/test_control.py",
}
"""Modules with logic, or folders of them, without a test at the mirrored path; and where they are tested."""

ALONE = """
import importlib, pkgutil, sys
refused, root = set(sys.argv[2].split()), sys.argv[1]
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{root} does not declare {name}", name=name)
sys.meta_path.insert(0, Refuse())
package = importlib.import_module(root)
for module in pkgutil.walk_packages(package.__path__, f"{root}."):
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        importlib.import_module(module.name)
print(*{name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
"""


@cache
def project(member: str) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((MEMBERS[member] / "pyproject.toml").read_text())["project"]
    return project


def declared(member: str) -> set[str]:
    """Distributions that the member declares, those of its extras included."""
    extras = project(member).get("optional-dependencies", {}).values()
    return {re.split(r"[\[>=<~ ;]", one)[0] for one in (*project(member)["dependencies"], *chain(*extras))}


_installed = cache(packages_distributions)


@cache
def distributions(module: str) -> set[str]:
    """Distributions that contain a top-level module, named as in a pyproject.toml."""
    found = [project(module)["name"]] if module in MEMBERS else _installed().get(module, ())
    return {name.lower().replace("_", "-") for name in found}


def reachable(member: str) -> set[str]:
    """Packages of the workspace that the member may import, itself included."""
    own = {one for one in MEMBERS if project(one)["name"] in declared(member)}
    return {member}.union(*(reachable(one) for one in own))


def sources(member: str) -> Iterator[Path]:
    return (MEMBERS[member] / "src").rglob("*.py")


def run_alone(member: str, refused: set[str]) -> set[str]:
    """Packages from outside the standard library that every module of the member imports."""
    argv = [sys.executable, "-c", ALONE, member, " ".join(refused)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - it is ours
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_is_imported_with_nothing_but_what_it_declares(member: str) -> None:
    run_alone(member, set(MEMBERS) - reachable(member))


def test_the_contract_needs_pydantic_alone() -> None:
    assert {name for name in run_alone("contract", set()) if name[0] != "_"} <= {"contract"} | PYDANTIC


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_declares_what_it_imports_and_nothing_else(member: str) -> None:
    imported = {name for path in sources(member) for name in _imports(path)} - sys.stdlib_module_names - {member}
    named = {name: distributions(name) for name in imported}

    assert {name for name, known in named.items() if not known & declared(member)} == set()
    assert declared(member) - set(chain(*named.values())) - READ_AT_RUN_TIME == set()


def _imports(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, inside functions, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_files_and_tests_that_exist(document: Path) -> None:
    named = re.findall(
        r"`((?:libs|services|tools|docs|deploy(?!/secrets)|tests|benchmarks)/[\w.*/<>-]+)(?:::(\w+))?`",
        document.read_text(),
    )
    bare = re.findall(r"`([\w-]+\.(?:py|md|yml|toml))`", document.read_text())

    assert [path for path, test in named if not _exists(re.sub("<.*?>", "ledger", path), test)] == []
    assert [name for name in bare if name not in _file_names()] == []


def _exists(path: str, test: str) -> bool:
    found = list(ROOT.glob(path.rstrip("/")))
    return bool(found) and (not test or f"def {test}(" in found[0].read_text())


@cache
def _file_names() -> set[str]:
    folders = ("libs", "services", "tools", "docs", "deploy", "tests", "benchmarks")
    return {path.name for path in chain(ROOT.glob("*"), *((ROOT / one).rglob("*.*") for one in folders))}


@pytest.mark.parametrize("member", MEMBERS)
def test_every_module_with_logic_has_a_test_at_the_mirrored_path_or_a_named_one(member: str) -> None:
    without = {path for path in sources(member) if _has_logic(path) and not _twin(member, path).is_file()}
    named = {ROOT / name for name in TESTED_ELSEWHERE}

    assert {path for path in without if named.isdisjoint((path, *path.parents))} == set()
    assert {path for path in named if path.is_relative_to(MEMBERS[member]) and not _any_under(path, without)} == set()


def test_what_is_tested_elsewhere_is_tested_there() -> None:
    assert [test for test in TESTED_ELSEWHERE.values() if not (ROOT / test).is_file()] == []


def _has_logic(path: Path) -> bool:
    """Whether a function of the module branches or loops; migrations are run by every test with a database."""
    if "migrations" in path.parts:
        return False
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return any(isinstance(node, LOGIC) for function in functions for node in ast.walk(function))


def _twin(member: str, path: Path) -> Path:
    inside = path.relative_to(MEMBERS[member] / "src" / member)
    return ROOT / "tests" / MEMBERS[member].name / inside.with_name(f"test_{inside.name}")


def _any_under(folder: Path, paths: set[Path]) -> bool:
    return any(path.is_relative_to(folder) for path in paths)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_lines_of_prose_have_at_most_120_characters(document: Path) -> None:
    prose = re.sub(r"^```.*?^```|^\|.*?$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)

    assert [line for line in prose.splitlines() if len(line) > LONGEST_LINE] == []


def test_no_file_of_the_sources_is_too_long() -> None:
    lines = {
        str(path.relative_to(ROOT)): path.read_text().count("\n") for member in MEMBERS for path in sources(member)
    }

    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}
