"""One probe of one contender: how long it waits.

A feature shows itself by an event: the application is called, a block arrives. If the page says
that the event comes, it has `HANG` seconds; if the page says that it never does, a moment is
enough. So a slow machine makes no test fail, and a peer that has learned something is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peers.contenders import Contender

HANG = 20.0  # seconds
MOMENT = 0.4

Probe = Callable[..., Any]


class Trial:
    """What every probe is given.

    Args:
        contender: Whom to probe.
        expected: What the page says.
    """

    def __init__(self, contender: Contender, expected: str) -> None:
        self.contender = contender
        self.expected = expected

    def patience(self, *outcomes: str) -> float:
        """Return how long to wait for an event that comes if the outcome is one of these."""
        return HANG if self.expected in outcomes else MOMENT


class Probes(dict[str, Probe]):
    """Those of a table, by the label of the row."""

    def row(self, label: str) -> Callable[[Probe], Probe]:
        def add(probe: Probe) -> Probe:
            assert label not in self
            self[label] = probe
            return probe

        return add


def yes(holds: object) -> str:
    return "yes" if holds else "no"
