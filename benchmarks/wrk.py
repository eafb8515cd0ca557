"""``wrk``, the client of the measurements over real servers."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

INSTALL = "wrk is not installed (Debian, Ubuntu: `apt-get install wrk`; macOS: `brew install wrk`)"

_UNITS = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0}


class Answers(NamedTuple):
    """What one run of wrk saw.

    Attributes:
        seconds: How long it ran.
        good: Answers of status 2xx or 3xx.
        bad: All other answers, and errors of a socket.
        percentile: The 99th of the times from a request to its answer, in seconds.
    """

    seconds: float
    good: int
    bad: int
    percentile: float


def wrk(url: str, connections: int, seconds: int) -> Answers:
    """Ask as fast as the server answers, over connections that are kept."""
    command = [
        "wrk",
        "-t2",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "5s",
        "--latency",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return parse(done.stdout)


def parse(output: str) -> Answers:
    """Return what wrk's report says.

    Raises:
        ValueError: It is not a report of wrk.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(\w+),", output)
    slowest = re.search(r"99%\s+([\d.]+)(\w+)", output)
    if total is None or slowest is None:
        raise ValueError(f"not a report of wrk: {output!r:.200}")
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    bad = int(refused[1]) if refused else 0
    lost = sum(map(int, errors.groups())) if errors else 0
    return Answers(
        seconds=float(total[2]) * _UNITS[total[3]],
        good=int(total[1]) - bad,
        bad=bad + lost,
        percentile=float(slowest[1]) * _UNITS[slowest[2]],
    )
