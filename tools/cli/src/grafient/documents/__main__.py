"""`python -m grafient.documents FOLDER` writes the documents that follow from the code into FOLDER."""

import json
import sys
from pathlib import Path

import yaml

from grafient.documents import asyncapi, openapi
from grafient.documents.operators.page import page


class _Dumper(yaml.SafeDumper):
    """Text of several lines stays readable."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def files() -> dict[str, str]:
    """By the file's name: what belongs into it."""
    made = {f"openapi-{name}.json": json.dumps(one, indent=1) + "\n" for name, one in openapi.documents().items()}
    plain = json.loads(json.dumps(asyncapi.document()))  # shared pieces would become YAML's anchors
    topics = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return made | {"asyncapi.yaml": topics, "metrics.md": page()}


def main(folder: Path) -> None:
    """Write each file."""
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)  # noqa: T201 - what this command is for


if __name__ == "__main__":
    main(Path(sys.argv[1]))
