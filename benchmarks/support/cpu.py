"""CPU time and memory of processes, from /proc: with their children, those that have ended included."""

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.support.report import rounded

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _UTIME, _CHILDREN_STIME = 1, 11, 14
"""Places in /proc/<pid>/stat behind the name of the process; between the last two are stime and cutime."""


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time that each process and all its descendants have used since they began."""
    own, children = _table()
    return {name: _with_descendants(pid, own, children) / TICKS_PER_SECOND for name, pid in pids.items()}


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The difference of two results of `cpu_seconds`, in seconds."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}


def milliseconds_by_process(spent: Mapping[str, float], count: int, of: str) -> dict[str, float]:
    """Columns of a report: what one of `count` took of all processes but `xai`, as `cpu_ms_<of>`, and of each."""
    ms = {name: 1000 * seconds / count for name, seconds in spent.items()}
    total = sum(value for name, value in ms.items() if name != "xai")
    return {f"cpu_ms_{of}": rounded(total)} | {f"{name}_ms": rounded(value) for name, value in ms.items()}


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """`VmRSS` is what the process holds in memory now, `VmHWM` the most that it ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def _table() -> tuple[dict[int, int], dict[int, list[int]]]:
    """Ticks of each process with those of its children that have ended, and the children that live by their parent."""
    own: dict[int, int] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pid = int(folder.name)
            own[pid] = sum(map(int, fields[_UTIME : _CHILDREN_STIME + 1]))
            children[int(fields[_PARENT])].append(pid)
    return own, children


def _with_descendants(pid: int, own: Mapping[int, int], children: Mapping[int, list[int]]) -> int:
    return own.get(pid, 0) + sum(_with_descendants(child, own, children) for child in children.get(pid, ()))
