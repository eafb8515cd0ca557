"""What gatebridge makes of an application, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import anyio

from gatebridge._adapt import Living
from gatebridge._lifespan_manager import LifespanManager
from gatebridge._loading import NamedApplication
from gatebridge._undeclared_length import needs_length
from gatebridge.types import ASGIApplication, Message, Receive, Scope, Send


def describe(application: NamedApplication, *, start: bool) -> Iterator[str]:
    """Yield a line for each thing that is known.

    Args:
        application: The application.
        start: Whether to run its startup and shutdown, which alone tells if it has a lifespan.

    Raises:
        LifespanError: The startup or the shutdown failed.
    """
    name, kind = application.name, type(application.app)
    yield f"application:       {name}, {kind.__module__}.{kind.__qualname__}"
    yield f"interface:         {application.interface}"
    if application.interface == "wsgi":
        living = isinstance(application.app, Living)
        what = "by its startup() and close()" if living else "none, for WSGI has none"
        yield f"lifespan:          {what}"
    elif start:
        yield f"lifespan:          {_try_lifespan(cast('ASGIApplication', application.app))}"
    else:
        yield "lifespan:          not tried; --start runs its startup and shutdown"
    named = f"GATEBRIDGE_APP='{name}'"
    if application.choice != "auto":
        named += f" GATEBRIDGE_INTERFACE={application.choice}"
    if application.interface == "asgi":
        asgi = "as it is"
        wsgi = f"in AsgiToWsgi: {named} gunicorn --threads 8 gatebridge.auto:wsgi"
    else:
        asgi = f"in WsgiToAsgi: {named} uvicorn gatebridge.auto:asgi"
        wsgi = "as it is"
    yield f"on an ASGI server: {asgi}"
    yield f"on a WSGI server:  {wsgi}"
    if application.interface == "wsgi":
        yield f"chunked uploads:   {_chunked_uploads(application.app)}"


def _chunked_uploads(app: object) -> str:
    if needs_length(app):
        return "spooled by gatebridge.auto; in code: WsgiToAsgi(app, spool_bodies=True)"
    return "streamed; the application reads a body without a length"


def _try_lifespan(app: ASGIApplication) -> str:
    """Run startup and shutdown on asyncio; return what came of it."""
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
