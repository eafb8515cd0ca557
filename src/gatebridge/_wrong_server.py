"""An application on a server of the other kind gets an error that names the right kind of server.

The server calls with the wrong number of arguments, and the interpreter raises `TypeError` before
any code of the application runs. The application itself cannot raise a better error: an
``async`` function raises only when awaited, which a WSGI server never does, and if the missing
parameters had defaults, the signature would no longer show which kind of application it is. But the
interpreter's message begins with the function's qualified name, so the explanation goes there.

The price: everything that shows the name of the method shows the explanation, too: the warning
about a coroutine that was never awaited, task names, profilers, some tracebacks. So it is short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def for_asgi_servers(advice: str) -> Callable[[F], F]:
    """Decorate the ``__call__`` of an ASGI application.

    Args:
        advice: What to give to a WSGI server instead, in a few words.
    """
    return _explained(f"for ASGI servers; {advice}")


def for_wsgi_servers(advice: str) -> Callable[[F], F]:
    """Decorate the ``__call__`` of a WSGI application.

    Args:
        advice: What to give to an ASGI server instead, in a few words.
    """
    return _explained(f"for WSGI servers; {advice}")


def _explained(explanation: str) -> Callable[[F], F]:
    def decorate(call: F) -> F:
        cls, _, name = call.__qualname__.partition(".")
        call.__qualname__ = f"{cls} is {explanation}: {name}"
        return call

    return decorate
