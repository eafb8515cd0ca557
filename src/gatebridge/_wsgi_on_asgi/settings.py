"""What the requests of one `WsgiToAsgi` have in common."""

from __future__ import annotations

from typing import NamedTuple

from gatebridge._concurrency.pool import WorkerPool
from gatebridge._wsgi_on_asgi.notices import Notices


class Settings(NamedTuple):
    """How an adapter serves its requests.

    Attributes:
        pool: Where the application runs.
        notices: Where to log what was put right in the application's responses.
        window_bytes: How much of a body may be on its way, in each direction of each request.
        max_body_size: The largest request body in bytes, or None.
        spool_bodies: Whether to receive a body of undeclared length before the application is
            called.
        server_sends_files: Whether to use the server's own ways to send a file.
    """

    pool: WorkerPool
    notices: Notices
    window_bytes: int
    max_body_size: int | None
    spool_bodies: bool
    server_sends_files: bool
