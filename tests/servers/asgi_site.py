"""The application that the servers serve, imported by them; it tells the test what happens to it.

What is configured by the environment:

* ``SITE_RECORDS``: the path of a named pipe. Each record is a line: the process, and what happened.
* ``SITE_EARLY``: if set, the adapter is used at import already, which may be before a fork.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import anyio

from gatebridge import AsgiToWsgi
from gatebridge.types import Receive, Scope, Send

FILE = str(Path(__file__).resolve())

exiting = threading.Event()


def record(what: str) -> None:
    pipe = os.open(os.environ["SITE_RECORDS"], os.O_WRONLY)
    os.write(pipe, f"{os.getpid()} {what}\n".encode())  # whole: it is short
    os.close(pipe)


class Response:
    def __init__(self, send: Send) -> None:
        self.send = send

    async def start(self) -> None:
        headers = [(b"content-type", b"text/plain")]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def body(self, body: bytes = b"", *, more: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def text(self, text: str) -> None:
        await self.start()
        await self.body(text.encode())


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    record("startup")
    scope["state"].update(process=os.getpid(), waiting=[])
    async with anyio.create_task_group() as group:
        group.start_soon(stay_in_one_process, os.getpid())
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        group.cancel_scope.cancel()
    record("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def stay_in_one_process(process: int) -> None:
    while os.getpid() == process:  # noqa: ASYNC110 - nothing tells
        await anyio.sleep(0.01)
    record("forked event loop")


def wait_for_release(scope: Scope) -> anyio.Event:
    """Return what the next request for ``/release`` sets."""
    event = anyio.Event()
    scope["state"]["waiting"].append(event)
    return event


async def page(scope: Scope, receive: Receive, response: Response) -> None:
    started = scope["state"]["process"] == os.getpid()
    await response.text(f"process {os.getpid()}" if started else "of another process")


async def length(scope: Scope, receive: Receive, response: Response) -> None:
    total, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            record("client left upload")
            return
        total += len(message["body"])
        more = message["more_body"]
    await response.text(f"{total} bytes")


async def stream(scope: Scope, receive: Receive, response: Response) -> None:
    released = wait_for_release(scope)
    await response.start()
    await response.body(b"first ", more=True)
    await released.wait()
    await response.body(b"last")


async def late(scope: Scope, receive: Receive, response: Response) -> None:
    released = wait_for_release(scope)
    await response.start()
    await released.wait()
    await response.body(b"late")


async def download(scope: Scope, receive: Receive, response: Response) -> None:
    await response.start()
    for _ in range(1000):
        await response.body(b"x" * 1024, more=True)
    await response.body()


async def events(scope: Scope, receive: Receive, response: Response) -> None:
    """Server-sent events, for as long as there is a client."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        record("http.disconnect")

    await response.start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            while True:
                await response.body(b"data: x\n\n", more=True)
                await anyio.sleep(0.01)
    finally:
        record("events ended")


async def file(scope: Scope, receive: Receive, response: Response) -> None:
    await response.start()
    await response.send({"type": "http.response.pathsend", "path": FILE})


async def hints(scope: Scope, receive: Receive, response: Response) -> None:
    if "http.response.early_hint" in scope["extensions"]:
        links = [b"</style.css>; rel=preload"]
        await response.send({"type": "http.response.early_hint", "links": links})
    await response.text("hinted")


async def background(scope: Scope, receive: Receive, response: Response) -> None:
    released = wait_for_release(scope)
    await response.text("done")
    await released.wait()
    record("background ended")


async def background_at_exit(scope: Scope, receive: Receive, response: Response) -> None:
    """Go on until the process ends, and a little longer."""
    await response.text("done")
    while not exiting.is_set():  # noqa: ASYNC110 - set by a thread that is about to end
        await anyio.sleep(0.01)
    await anyio.sleep(0.1)
    record("background ended")


async def release(scope: Scope, receive: Receive, response: Response) -> None:
    for event in scope["state"]["waiting"]:
        event.set()
    await response.text("released")


ROUTES = {
    "/": page,
    "/length": length,
    "/stream": stream,
    "/late": late,
    "/download": download,
    "/events": events,
    "/file": file,
    "/hints": hints,
    "/background": background,
    "/background-at-exit": background_at_exit,
    "/release": release,
}


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["path"].startswith("/paths/"):
        await Response(send).text(f"{scope['path']} {scope['raw_path'].decode()}")
    else:
        await ROUTES[scope["path"]](scope, receive, Response(send))


application = AsgiToWsgi(site, offer_pathsend=True)
# What was registered last comes first: before the adapter's own.
getattr(threading, "_register_atexit")(exiting.set)  # noqa: B009 - not in the stubs

if os.environ.get("SITE_EARLY"):
    application.startup()
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
    }
    assert b"".join(application(environ, lambda *_: bytes)).startswith(b"process ")
record("loaded")
