"""What tests see of other processes."""

import os
from contextlib import suppress
from pathlib import Path
from signal import Signals


def runs(pid: int) -> bool:
    """Whether the process is alive; an orphan that has ended can be a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def signal_with_children(pid: int, how: Signals) -> None:
    """Send the signal to the process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    for one in (pid, *map(int, children.split())):
        with suppress(ProcessLookupError):
            os.kill(one, how)
