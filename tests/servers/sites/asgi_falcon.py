"""The site in Falcon, behind ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import falcon
from falcon.asgi import App, Request, Response, SSEvent

from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest_async, joined


class Lifespan:
    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        note("startup")
        scope["state"].update(OPENED)

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        note("shutdown")


class Echo:
    async def on_get(self, req: Request, resp: Response, path: str) -> None:
        resp.media = {
            "path": path,
            "query": req.get_param("q", default=""),
            "repeated": joined([req.get_header("X-Repeated", default="")]),
            "cookies": req.cookies,
        }
        resp.set_cookie("one", "1", secure=False)
        resp.set_cookie("two", "2", secure=False)


class Form:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = await req.get_media()


class Upload:
    async def on_post(self, req: Request, resp: Response) -> None:
        async for part in await req.get_media():
            resp.media = await digest_async(part.stream, name=part.filename)


class Body:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = await digest_async(req.stream)


class Page:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.etag = TAG
        if TAG in (req.if_none_match or []):
            resp.status = falcon.HTTP_304
        else:
            resp.content_type = falcon.MEDIA_HTML
            resp.text = PAGE

    on_head = on_get


class Stream:
    async def on_get(self, req: Request, resp: Response) -> None:
        async def blocks() -> AsyncIterator[bytes]:
            yield b"first "
            await reach_async("stream")
            yield b"last"

        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = blocks()


class Endless:
    async def on_get(self, req: Request, resp: Response) -> None:
        async def blocks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield BLOCK
            finally:
                note("left")

        resp.content_type = "application/octet-stream"
        resp.stream = blocks()


class Wait:
    async def on_get(self, req: Request, resp: Response) -> None:
        await reach_async("wait")
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "waited"


class Error:
    async def on_get(self, req: Request, resp: Response) -> None:
        raise RuntimeError("of the site")


class State:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"state": req.scope["state"]["opened"]}


class Background:
    async def on_post(self, req: Request, resp: Response) -> None:
        async def task() -> None:
            await reach_async("background")
            note("background ended")

        resp.schedule(task)
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "accepted"


class Events:
    async def on_get(self, req: Request, resp: Response) -> None:
        async def events() -> AsyncIterator[SSEvent]:
            for number in range(3):
                if number:
                    await reach_async("events")
                yield SSEvent(text=str(number))

        resp.sse = events()


app = App(middleware=[Lifespan()])
app.add_route("/echo/{path:path}", Echo())
app.add_route("/form", Form())
app.add_route("/upload", Upload())
app.add_route("/body", Body())
app.add_route("/page", Page())
app.add_route("/stream", Stream())
app.add_route("/endless", Endless())
app.add_route("/wait", Wait())
app.add_route("/error", Error())
app.add_route("/state", State())
app.add_route("/background", Background())
app.add_route("/events", Events())
