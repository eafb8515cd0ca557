"""``environ["gatebridge.disconnected"]``: shows an application if its client is gone."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol, cast

from gatebridge._protocol.presence import HERE
from gatebridge._wsgi_on_asgi.response_channel import ResponseChannel
from gatebridge.types import DisconnectFlag


def disconnect_flag(environ: Mapping[str, object]) -> DisconnectFlag:
    """Return the flag that shows whether the client is gone; elsewhere, one that is never set.

    On `WsgiToAsgi` it is ``environ["gatebridge.disconnected"]``. Other servers and the test clients
    of frameworks do not set that key; with this function the same application runs there, too.

    Args:
        environ: The request's: ``request.environ`` in Flask, ``request.META`` in Django.

    Returns:
        A flag with ``is_set()`` and ``wait(timeout)``. Where it is never set, ``wait()`` without a
        timeout never returns: always pass one, and check again.

    Source: an extension of this library (D-29).
    """
    flag = environ.get("gatebridge.disconnected")
    return threading.Event() if flag is None else cast("DisconnectFlag", flag)


class _Job(Protocol):
    """The part of a `WorkerJob` that the flag needs."""

    def watched_channel(self) -> ResponseChannel: ...


class DepartureFlag(DisconnectFlag):
    """Shows an application whether its client is gone.

    The call watches for a departure from the application's first question on, if it has had no
    other reason to: a streamed body or response, or a request that takes longer than most. A
    departure cannot be seen as long as more of the request's body arrives than fits into the
    window.

    Args:
        job: The request's job, whose channel notices the departure.
    """

    __slots__ = ("_job",)

    def __init__(self, job: _Job) -> None:
        self._job = job

    def is_set(self) -> bool:
        """Return whether the client is gone."""
        return self._job.watched_channel().client is not HERE

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client is gone; meanwhile the thread does not count against ``threads``.

        Args:
            timeout: Longest wait, in seconds; None to wait indefinitely.

        Returns:
            Whether the client is gone.
        """
        return self._job.watched_channel().wait_departed(timeout)
