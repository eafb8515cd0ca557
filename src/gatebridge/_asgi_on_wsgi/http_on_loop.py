"""One HTTP request of `AsgiToWsgi`, as a call of the application on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from queue import SimpleQueue
from typing import Any

from gatebridge._asgi_on_wsgi.call_on_loop import Call
from gatebridge._asgi_on_wsgi.response_on_loop import Response
from gatebridge._asgi_on_wsgi.thread_tasks import Part, ReadPart
from gatebridge._concurrency.portal import Portal
from gatebridge._protocol.order import COMPLETE
from gatebridge._protocol.presence import HERE
from gatebridge.errors import ClientDisconnected
from gatebridge.types import ASGIApplication, ReceiveMessage


class _Body(Enum):
    """How far the application is with the request's body."""

    MORE = "there is more to read, and no read is under way"
    ASKED = "the thread was asked to read a part"
    RECEIVED = "the application has received all of it"
    CUT_SHORT = "there will be no further part"


_MORE, _ASKED, _RECEIVED, _CUT_SHORT = _Body


class HttpCall(Call):
    """The call for one HTTP request.

    Args:
        app: The ASGI application.
        scope: The request's.
        part: The first part of the request's body, if it was read already.
        portal: To the event loop.
        window_bytes: How much of the response may wait for the thread.
        ended: Called with this call when its task has ended.
    """

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        part: Part | None,
        portal: Portal,
        window_bytes: int,
        ended: Callable[[Call], object],
    ) -> None:
        # The application may change the scope, as a middleware does that makes a GET of a HEAD.
        method: str = scope["method"]
        response = Response(
            portal.handle,
            SimpleQueue(),
            (method, scope["path"]),
            method,
            scope["extensions"],
            window_bytes,
        )
        super().__init__(app, scope, response, portal, ended)
        self._parts: list[Part] = [] if part is None else [part]
        self._received = 0  # number of parts that the application has received
        self._body = _MORE

    def _call_app(self) -> Any:  # noqa: ANN401 - as its base class
        return self._app(self._scope, self._receive, self.response.send)

    async def _receive(self) -> ReceiveMessage:
        """Return the next part of the body, then wait for the end (ASGI HTTP 2.5 "Request")."""
        response = self.response
        while response.stage is not COMPLETE and response.client is HERE:
            if self._parts:
                part, more = self._parts.pop(0)
                self._received += 1
                if not more:
                    self._body = _RECEIVED
                return {"type": "http.request", "body": part, "more_body": more}
            if self._body is _CUT_SHORT:
                break
            if self._body is _MORE:
                self._body = _ASKED
                response.tasks.put(ReadPart(self._received + 1))
            await response.change()
        response.tell()
        return {"type": "http.disconnect"}

    def deliver(self, part: Part | None) -> None:
        """Accept a part of the body; None if there will be no further one."""
        if part is None:
            self._body = _CUT_SHORT
        else:
            self._body = _MORE
            self._parts.append(part)
        self.response.wake()

    def _conclude(self, error: BaseException | None) -> None:
        if error is None and self._body is _CUT_SHORT and self.response.told:
            error = ClientDisconnected("wsgi.input")
        self.response.fail(error)
