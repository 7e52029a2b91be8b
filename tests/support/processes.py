"""What the tests of the embedded stack see of other processes."""

from pathlib import Path


def runs(pid: int) -> bool:
    """Whether the process is alive: of an orphan that has ended, something may still wait to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
