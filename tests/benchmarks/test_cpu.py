"""CPU time counts what ended as well."""

import subprocess
import sys
from contextlib import ExitStack

from benchmarks.support.cpu import cpu_seconds, memory_mb

WORKS = "import time\nwhile time.process_time() < 0.1: pass"
PARENT = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORKS!r}]); print('ended', flush=True); input()"
)


def test_a_child_that_has_ended_is_counted() -> None:
    with ExitStack() as stack:
        process = subprocess.Popen(  # noqa: S603 - constant
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stack.enter_context(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ended\n"
        assert cpu_seconds({"parent": process.pid})["parent"] >= 0.1
        assert 0 < memory_mb(process.pid) <= memory_mb(process.pid, "VmHWM")
        process.communicate("\n")
