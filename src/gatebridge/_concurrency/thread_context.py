"""The context of a thread that works for a request."""

from __future__ import annotations

import contextvars
import sys


def context_for_thread() -> contextvars.Context:
    """Return a copy of the caller's context without the note that an event loop runs.

    `anyio.run` leaves a note of its kind of loop there. A thread may run another loop, or a loop of
    another kind may run a task in this context.
    """
    context = contextvars.copy_context()
    variable = getattr(sys.modules.get("sniffio"), "current_async_library_cvar", None)
    if variable is not None and variable in context:
        context.run(variable.set, None)
    return context
