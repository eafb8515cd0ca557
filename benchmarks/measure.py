"""Interleaved measuring: every contender in every round, so that noise meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Round = Callable[[], float]
"""Runs one round and returns the seconds that one request took."""


class Failure(Exception):  # noqa: N818 - a result like any other
    """A contender cannot do the work; its text says in a word or two what it does instead."""


def interleave(
    contenders: Mapping[str, Round], rounds: int, time_limit: float
) -> dict[str, list[float] | Failure]:
    """Run rounds of all contenders in turns.

    Args:
        contenders: What to run, by name.
        rounds: How many rounds to run.
        time_limit: After how many seconds no further round begins, three at least.

    Returns:
        For each contender the seconds of each round, in the same order for all, or its failure.
    """
    results: dict[str, list[float] | Failure] = {name: [] for name in contenders}
    deadline = time.monotonic() + time_limit
    for number in range(rounds):
        if number >= 3 and time.monotonic() > deadline:
            break
        for name, run in contenders.items():
            seconds = results[name]
            if isinstance(seconds, Failure):
                continue
            try:
                seconds.append(run())
            except Failure as failure:
                results[name] = failure
    return results


def ratio(seconds: list[float], reference: list[float]) -> float:
    """Return the median over the rounds of how much longer than the reference a request took.

    Both of a quotient are from the same round: a machine changes its speed, but not that fast.
    """
    return statistics.median(one / other for one, other in zip(seconds, reference, strict=True))
