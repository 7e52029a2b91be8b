"""Words that names and prose of this project avoid. `python tests/house/words.py` counts them and lists where they are."""

import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

NAMES = (
    *("told", "untold", "tells?", "said", "says?", "whose", "wish", "wishes", "anew", "mends?", "mended", "manieth"),
    *("hurry", "midst", "away", "goes", "stands", "living", "hears?", "heard", "speaks?", "unnoted", "deaf"),
    *("lets? go", "given up", "put away", "signs? in", "asked for"),
)
"""For the parts of an identifier: `_hold_untold` and `HoldUntold` are read as `hold untold`."""

PROSE = (
    *("told", "untold", "tells?", "said", "says", "wish(?:es|ed)?", "anew", "manieth", "mend(?:s|ed|ing)?", "midst"),
    *("hurr(?:y|ies|ied)", "goes", "stands", "stood", "living", "hears?", "heard", "asked for", "for ever", "in hand"),
    *("given up", "let(?:s|ting)? go", "put(?:s|ting)? away", "sign(?:s|ed|ing)? in", "takes? in", "speaks? the same"),
    *("is away", "are away", "was away", "were away", "be away", "be(?:came|come|comes) of"),
)
"""For docstrings, comments, strings and documents; a space matches a line break, too."""

ROOT = Path(__file__).parents[2]
AREAS = ("libs", "services", "tools", "tests", "benchmarks", "deploy", "docs", ".")
SUFFIXES = {".py", ".md", ".yml", ".toml", ".ts", ".mjs"}
FILES = {"Makefile", "Dockerfile"}
FOREIGN = {"node_modules", "__pycache__", "secrets"}
LISTS = {"tests/house/words.py", "tests/house/test_words.py"}
"""Exempt: they contain the words."""
RELEASED = {
    "services/connector/src/connector/migrations/versions/0002_commands.py",
    "services/connector/src/connector/migrations/versions/0003_account_events.py",
    "services/connector/src/connector/migrations/versions/0004_sealed_at.py",
    "services/ledger/src/ledger/migrations/versions/0001_first_tables.py",
    "services/syncer/src/syncer/migrations/versions/0001_first_tables.py",
}
"""Exempt: a released migration is never edited, and these comment columns in the former words."""


class Finding(NamedTuple):
    path: str
    line: int
    word: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word}"


def _any_of(words: Iterable[str], *, space: str = r"\s+(?:# )?", edge: str = r"\b") -> re.Pattern[str]:
    return re.compile(rf"{edge}(?:{'|'.join(words)}){edge}".replace(" ", space))


IN_NAMES = _any_of(NAMES, space=r"\s")
IN_PROSE = _any_of(PROSE)
ANYWHERE = _any_of((*NAMES, *PROSE), space=r"[\s#_]*", edge="")
"""Matches wherever one of the other two can: a file without a match is not split into tokens."""


def words_in(text: str) -> Iterator[tuple[int, str]]:
    """The listed words in the identifiers and the prose of a Python program."""
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.NAME:
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", token.string).lower()
            yield from ((token.start[0], match[0]) for match in IN_NAMES.finditer(words))
        elif token.type not in {tokenize.OP, tokenize.NUMBER}:
            yield from prose_in(token.string, token.start[0])


def prose_in(text: str, line: int = 1) -> Iterator[tuple[int, str]]:
    for match in IN_PROSE.finditer(text.lower()):
        yield line + text.count("\n", 0, match.start()), " ".join(match[0].split())


def findings_in(text: str, path: str) -> list[Finding]:
    if not ANYWHERE.search(text.lower()):
        return []
    found = words_in(text) if path.endswith(".py") else prose_in(text)
    return [Finding(path, line, word) for line, word in found]


def files(area: str) -> Iterator[Path]:
    folder = ROOT / area
    for path in folder.glob("*") if area == "." else folder.rglob("*"):
        if (path.suffix in SUFFIXES or path.name in FILES) and FOREIGN.isdisjoint(path.parts):
            yield path


def findings(area: str) -> list[Finding]:
    named = {str(path.relative_to(ROOT)): path for path in sorted(files(area)) if path.is_file()}
    read = {name: path.read_text(encoding="utf-8") for name, path in named.items() if name not in LISTS | RELEASED}
    return [finding for name, text in read.items() for finding in findings_in(text, name)]


def main(wanted: str = "") -> None:
    """Counts by area and word, then every place below the path `wanted`."""
    for area in AREAS:
        found = [finding for finding in findings(area) if finding.path.startswith(wanted)]
        words = Counter(finding.word for finding in found)
        print(f"{area}: {len(found)}  {dict(words.most_common())}")  # noqa: T201 - the purpose of the script
        print(*found, sep="\n", end="\n" if found else "")  # noqa: T201 - the same


if __name__ == "__main__":
    main(*sys.argv[1:])
