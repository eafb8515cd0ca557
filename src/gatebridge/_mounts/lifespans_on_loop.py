"""The lifespans of several ASGI applications: they begin in order, and end in reverse.

A failure names its application. If one fails to start, those that have started are shut down.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any

from gatebridge._lifespan.manager import LifespanManager
from gatebridge._lifespan.shim import inner_lifespan
from gatebridge._mounts.table import failure_of
from gatebridge.errors import LifespanError
from gatebridge.types import ASGIApplication

_logger = logging.getLogger("gatebridge")


@asynccontextmanager
async def all_lifespans(
    parts: Iterable[tuple[str, ASGIApplication]],
    given: Mapping[str, Any],
    states: dict[int, dict[str, Any]],
) -> AsyncGenerator[None, None]:
    """Run the lifespans of ASGI applications.

    Args:
        parts: The applications, with their names.
        given: The server's state.
        states: Filled with what each lifespan has added, by the identity of its application.
    """
    async with AsyncExitStack() as stack:
        for name, app in parts:
            manager = inner_lifespan(app, dict(given))
            try:
                state = await manager.__aenter__()
            except LifespanError as exc:
                raise failure_of(name, exc) from exc
            stack.push_async_exit(partial(_leave, name, manager))
            # Only new and changed keys: the server may change the others for a request.
            states[id(app)] = {
                key: value
                for key, value in state.items()
                if key not in given or given[key] is not value
            }
        yield


async def _leave(
    name: str,
    manager: LifespanManager,
    exc_type: type[BaseException] | None,
    exc: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Shut down one application; if several fail, only the first failure is raised."""
    try:
        await manager.__aexit__(exc_type, exc, traceback)
    except LifespanError as failure:
        if exc is None:
            raise failure_of(name, failure) from failure
        _logger.error("%s: %s", name, failure)  # noqa: TRY400 - its traceback shows nothing
