"""Runs a module as a program, and notes when it first polls a topic: `python -P first_poll.py FILE TOPIC MODULE`.

The file gets the instant (seconds since 1970) and the CPU time that the process had used until then. It is run by path,
with the Python of the build that is measured: that one need not have this package.
"""

import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

file, topic, module = sys.argv[1:]
poll = AIOKafkaConsumer.getmany


async def first_poll(self: Any, *partitions: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as it is
    """Note the instant, and be gone."""
    if topic in self.subscription():
        Path(file).write_text(json.dumps([time.time(), time.process_time()]))
        AIOKafkaConsumer.getmany = poll
    return await poll(self, *partitions, **options)


AIOKafkaConsumer.getmany = first_poll
sys.argv = [module]
runpy.run_module(module, run_name="__main__", alter_sys=True)
