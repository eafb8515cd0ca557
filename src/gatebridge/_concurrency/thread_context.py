"""The context for work on a request in another thread, or on another loop."""

from __future__ import annotations

import contextvars
import sys


def context_for_thread() -> contextvars.Context:
    """Return a copy of the caller's context that does not name the running event loop.

    `anyio.run` stores the name of its backend in the context. But code that runs in the copy may
    start another loop in its thread, or be a task on a loop of another backend.
    """
    context = contextvars.copy_context()
    variable = getattr(sys.modules.get("sniffio"), "current_async_library_cvar", None)
    if variable is not None and variable in context:
        context.run(variable.set, None)
    return context
