"""The site in Falcon, run as WSGI."""

from __future__ import annotations

from collections.abc import Iterator

import falcon
from falcon import Request, Response

from servers.gates import note, reach
from servers.sites import BLOCK, PAGE, TAG, digest, joined, parts_of


class Echo:
    def on_get(self, req: Request, resp: Response, path: str) -> None:
        resp.media = {
            "path": path,
            "query": req.get_param("q", default=""),
            "repeated": joined([req.get_header("X-Repeated", default="")]),
            "cookies": req.cookies,
        }
        resp.set_cookie("one", "1", secure=False)
        resp.set_cookie("two", "2", secure=False)


class Form:
    def on_post(self, req: Request, resp: Response) -> None:
        resp.media = req.get_media()


class Upload:
    def on_post(self, req: Request, resp: Response) -> None:
        for part in req.get_media():
            if part.name == "file":
                resp.media = digest(parts_of(part.stream), name=part.filename)


class Body:
    def on_post(self, req: Request, resp: Response) -> None:
        resp.media = digest(parts_of(req.bounded_stream))


class Page:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.etag = TAG
        if TAG in (req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = falcon.MEDIA_HTML
        resp.text = PAGE

    on_head = on_get


class Stream:
    def on_get(self, req: Request, resp: Response) -> None:
        def blocks() -> Iterator[bytes]:
            yield b"first "
            reach("stream")
            yield b"last"

        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = blocks()


class Endless:
    def on_get(self, req: Request, resp: Response) -> None:
        def blocks() -> Iterator[bytes]:
            try:
                while True:
                    yield BLOCK
            finally:
                note("left")

        resp.content_type = "application/octet-stream"
        resp.stream = blocks()


class Wait:
    def on_get(self, req: Request, resp: Response) -> None:
        reach("wait")
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "waited"


class Error:
    def on_get(self, req: Request, resp: Response) -> None:
        raise RuntimeError("of the site")


app = falcon.App()
app.add_route("/echo/{path:path}", Echo())
app.add_route("/form", Form())
app.add_route("/upload", Upload())
app.add_route("/body", Body())
app.add_route("/page", Page())
app.add_route("/stream", Stream())
app.add_route("/endless", Endless())
app.add_route("/wait", Wait())
app.add_route("/error", Error())
