"""Run a module on one processor: ``python -m benchmarks.on_one_processor uvicorn ...``.

As ``taskset --cpu-list 0 python -m uvicorn ...`` does, which not every machine has.
"""

from __future__ import annotations

import os
import runpy
import sys


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
