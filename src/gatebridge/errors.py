"""What went wrong, and whose fault it is: one class for each party of a request.

The class decides what a caller does next: a `RequestError` is answered with a 4xx, an application's
error becomes a 500 and a traceback, a `HostError` is reported to the server's authors, and
`ClientDisconnected` needs no answer at all. Exceptions that an application raises by itself are
never wrapped; these classes speak of broken rules only.
"""

from __future__ import annotations

__all__ = [
    "AsgiAppError",
    "ClientDisconnected",
    "GatebridgeError",
    "HostError",
    "LifespanError",
    "LoadError",
    "RequestBodyError",
    "RequestError",
    "UnavailableError",
    "WsgiAppError",
]


class GatebridgeError(Exception):
    """The base of every error that this library raises.

    Attributes:
        field: What is wrong, as its specification spells it: ``"content-length"``, ``"PATH_INFO"``.
        reason: Why, in words that may be logged; bytes from the wire are shown by ``repr`` only.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)  # args as given: pickle and copy rebuild from them
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class RequestError(GatebridgeError):
    """The request cannot be translated without guessing: its sender is at fault.

    Raised before the application is called, which then never sees the request. The adapters answer
    it, with its status and the message as one line of text.

    Attributes:
        status: The status code to answer with, 400 unless a subclass or an instance says otherwise.
    """

    status: int = 400


class RequestBodyError(RequestError, OSError):
    """The request's body is not what its head promised: it ends early, or is over the limit.

    Raised where the body is read, never replaced by a short read. It is an `OSError` because that
    is what frameworks expect of an input stream that fails. If the application lets it out before
    its response has begun, `WsgiToAsgi` answers with its status. An ASGI application never sees it:
    it receives ``http.disconnect``, or the adapter answers 413.

    Args:
        field: ``"content-length"`` for a body that ends early, ``"body"`` for one over the limit.
        reason: Why, with the sizes in bytes.
        status: 400, or 413 for a body over the limit (RFC 9110 section 15.5.14).
    """

    def __init__(self, field: str, reason: str, status: int = 400) -> None:
        super().__init__(field, reason)
        # OSError takes two arguments for (errno, strerror); a field's name is not an errno.
        self.args = (field, reason, status)
        self.errno = None
        self.strerror = None
        self.status = status


class WsgiAppError(GatebridgeError):
    """The WSGI application, or a middleware around it, broke PEP 3333."""


class AsgiAppError(GatebridgeError):
    """The ASGI application, or a middleware around it, broke the ASGI specification."""


class HostError(GatebridgeError):
    """The hosting server handed over a scope, message or environ that breaks its specification."""


class LifespanError(GatebridgeError):
    """An application's startup or shutdown failed.

    Attributes:
        field: The event, or the application's answer to it: ``"lifespan.startup"``,
            ``"lifespan.startup.failed"``.
        reason: Why, in the application's own words if it gave any.
    """


class UnavailableError(GatebridgeError, RuntimeError):
    """The adapter cannot serve as things stand, whatever the request.

    It was closed, its event loop has ended, or it was called on the thread of that very loop, which
    would then wait for itself for ever; its portal or loop belongs to the process that this one was
    forked from; or no event loop can run beside this server, as it is configured.
    """


class LoadError(GatebridgeError, ImportError):
    """No application can be had by the name that was given: whoever wrote the name is at fault.

    What goes wrong inside of the application's own modules is raised as it is.

    Attributes:
        field: The name, ``"package.module:app"``, or the environment variable that should hold it.
    """


class ClientDisconnected(GatebridgeError, ConnectionError):  # noqa: N818 - the specification's word
    """The client left before the exchange was complete. No rule was broken.

    A `ConnectionError`, and so an `OSError`, as section "Disconnected Client" of the ASGI HTTP
    specification (2.4) asks for, and as frameworks expect of ``wsgi.input`` and ``write``.

    Args:
        field: What was under way: ``"wsgi.input"``, ``"write"``.
        reason: Why it cannot go on.
    """

    def __init__(self, field: str, reason: str = "the client disconnected") -> None:
        super().__init__(field, reason)
        self.errno = None  # as in RequestBodyError
        self.strerror = None
