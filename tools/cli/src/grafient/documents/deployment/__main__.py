"""`python -m grafient.documents.deployment FOLDER` writes what follows from the code into the folder `deploy`."""

import sys
from pathlib import Path

from grafient.documents.deployment import alerts, dashboards, kubernetes


def files() -> dict[str, str]:
    """By the file's path below the folder: what belongs into it."""
    return (
        {f"kubernetes/{name}": text for name, text in kubernetes.manifests().items()}
        | {"monitoring/prometheus-rule.yaml": alerts.prometheus_rule(), "monitoring/rules.yaml": alerts.rules_file()}
        | {f"monitoring/dashboards/{name}.json": text for name, text in dashboards.dashboards().items()}
    )


def main(folder: Path) -> None:
    """Write each file."""
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)  # noqa: T201 - what this command is for


if __name__ == "__main__":
    main(Path(sys.argv[1]))
