"""Describe an application in plain text: ``gatebridge inspect``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import anyio

from gatebridge._asgi_on_wsgi.adapter import AsgiToWsgi
from gatebridge._detect.undeclared_length import needs_length
from gatebridge._lifespan.manager import LifespanManager
from gatebridge._lifespan.startable import Startable
from gatebridge._load import NamedApplication
from gatebridge._wsgi_on_asgi.adapter import WsgiToAsgi
from gatebridge.types import ASGIApplication, Message, Receive, Scope, Send


def describe(application: NamedApplication, *, start: bool) -> Iterator[str]:
    """Yield a line for each known fact.

    Args:
        application: The application.
        start: Whether to run its startup and shutdown; only that shows whether it has a lifespan.

    Raises:
        LifespanError: The startup or the shutdown failed.
    """
    name, kind = application.name, type(application.app)
    yield f"application:       {name}, {kind.__module__}.{kind.__qualname__}"
    yield f"interface:         {application.interface}"
    if application.interface == "wsgi":
        startable = isinstance(application.app, Startable)
        what = (
            "with its startup() and close()" if startable else "none, because WSGI has no lifespan"
        )
        yield f"lifespan:          {what}"
    elif start:
        yield f"lifespan:          {_try_lifespan(cast('ASGIApplication', application.app))}"
    else:
        yield "lifespan:          not tried; --start runs its startup and shutdown"
    asgi, wsgi = _on_servers(application)
    yield f"on an ASGI server: {asgi}"
    yield f"on a WSGI server:  {wsgi}"
    if application.interface == "wsgi":
        yield f"chunked uploads:   {_chunked_uploads(application.app)}"


def _chunked_uploads(app: object) -> str:
    if needs_length(app):
        return "spooled by gatebridge.auto; in code: WsgiToAsgi(app, spool_bodies=True)"
    return "streamed; the application reads a body without a length"


def _on_servers(application: NamedApplication) -> tuple[str, str]:
    """Return how to serve an application on ASGI servers, and on WSGI servers."""
    name, app = application.name, application.app
    if isinstance(app, (WsgiToAsgi, AsgiToWsgi)):
        # Another adapter around it would work, but the application inside needs none.
        made = name.endswith("()")
        what = f"{app.app!r:.80}" if made else _auto(application, f"{name}.app")
        inside = f"the application inside the adapter, as it is: {what}"
        return ("as it is", inside) if isinstance(app, WsgiToAsgi) else (inside, "as it is")
    if application.interface == "asgi":
        return "as it is", f"in AsgiToWsgi: {_auto(application, name)}"
    return f"in WsgiToAsgi: {_auto(application, name)}", "as it is"


def _auto(application: NamedApplication, name: str) -> str:
    """Return the command that serves an application on a server of the other kind."""
    variables = f"GATEBRIDGE_APP='{name}'"
    if application.choice != "auto" and name == application.name:
        variables += f" GATEBRIDGE_INTERFACE={application.choice}"
    if application.interface == "asgi":
        return f"{variables} gunicorn --threads 8 gatebridge.auto:wsgi"
    return f"{variables} uvicorn gatebridge.auto:asgi"


def _try_lifespan(app: ASGIApplication) -> str:
    """Run startup and shutdown on asyncio; return the outcome."""
    answers: list[str] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            await send(message)
            answers.append(message["type"])

        await app(scope, receive, watch)

    async def run() -> list[str]:
        async with LifespanManager(watched) as state:
            return sorted(state)

    state = anyio.run(run)
    if "lifespan.startup.complete" not in answers:
        return "none: the application does not answer lifespan.startup"
    return f"answered; state: {', '.join(state) or 'none'}"
