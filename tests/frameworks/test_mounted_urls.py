"""Mounted frameworks make and answer the same URLs as within Starlette's and Werkzeug's mounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
import flask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from asgi_on_wsgi.host import Host as WsgiHost
from gatebridge import AsgiMounts, AsgiToWsgi, LifespanManager, WsgiMounts
from wsgi_on_asgi.apps import adapter
from wsgi_on_asgi.host import http_scope, request_messages

pytestmark = pytest.mark.clause("D-43")

FOLDER = str(Path(__file__).parent)

PREFIXES = ["/api", "/caf%C3%A9", "/api/v%C3%BC"]  # the last one is two deep
BELOW = [
    *("", "/", "//", "/slash", "/slash/", "/redirect", "/nothing", "/static/conftest.py"),
    *("/item/x?q=%20", "/item/a%20b", "/item/a%2Fb", "/item/a%3Fb", "/item/a;b=c", "/item/%2520"),
    *("/item/caf%C3%A9", "/item/%FF%FE", "//item/x", "/./item/x", "/../api/item/x"),
]
BESIDE = ["/", "/x", "/apiary", "//api/x", "/API/x", "/caf%FF", "/api/v%C3/item/x"]
OTHERWISE = [
    "/%61pi",
    "/%61pi/item/x",
    "/api%2Fitem/x",
    "/caf%c3%a9/item/x",
    "/api%2fv%c3%bc/",
]
TARGETS = [prefix + rest for prefix in PREFIXES for rest in BELOW] + BESIDE + OTHERWISE

flask_app = flask.Flask("below", static_folder=FOLDER, static_url_path="/static")


@flask_app.get("/")
@flask_app.get("/slash/", endpoint="slash")
@flask_app.get("/item/<name>", endpoint="item")
def of_flask(**arguments: str) -> dict[str, Any]:
    return {
        "arguments": arguments,
        "url": flask.request.url,
        "base": flask.request.root_url,
        "path": flask.request.environ["SCRIPT_NAME"] + " " + flask.request.environ["PATH_INFO"],
        "item": flask.url_for("item", name="x", _external=True),
        "static": flask.url_for("static", filename="x"),
    }


@flask_app.get("/redirect")
def redirect_of_flask() -> Any:
    return flask.redirect(flask.url_for("slash"))


@flask_app.errorhandler(404)
def nothing_of_flask(_: Exception) -> Any:
    return of_flask(), 404


def of_starlette(request: Request, error: Exception | None = None) -> Response:
    content = {
        "arguments": request.path_params,
        "url": str(request.url),
        "base": str(request.base_url),
        "path": request.scope["root_path"] + " " + request.scope["path"],
        "item": str(request.url_for("item", name="x")),
        "static": str(request.url_for("static", path="x")),
    }
    return JSONResponse(content, 404 if error else 200)


def redirect_of_starlette(request: Request) -> Response:
    return RedirectResponse(request.url_for("slash"))


starlette_app = Starlette(
    routes=[
        Route("/", of_starlette),
        Route("/slash/", of_starlette, name="slash"),
        Route("/item/{name}", of_starlette, name="item"),
        Route("/redirect", redirect_of_starlette),
        Mount("/static", StaticFiles(directory=FOLDER), name="static"),
    ],
    exception_handlers={404: of_starlette},
)

asgi_default = PlainTextResponse("default")


def wsgi_default(_: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"default"]


Answer = tuple[int, Any]
"""A status, and what is to be compared; of redirects the class alone, and where to."""


def answer(status: int, headers: dict[str, str], body: bytes) -> Answer:
    if status in (301, 302, 307, 308):
        return 300, headers["location"]
    return status, json.loads(body) if "json" in headers["content-type"] else body


def scope_of(target: str, root: str) -> dict[str, Any]:
    """Return the scope that Uvicorn makes with ``--root-path``."""
    raw_path, _, query = (root + target).encode().partition(b"?")
    path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    return http_scope(path=path, raw_path=raw_path, query_string=query, root_path=root)


def scope_with_root_apart(target: str, root: str) -> dict[str, Any]:
    """Return the scope that Hypercorn makes behind a proxy that takes the root off."""
    return {**scope_of(target, ""), "root_path": root}


async def ask_asgi(app: Any, scope: dict[str, Any]) -> Answer:
    messages = request_messages()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with anyio.fail_after(5):
        await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return answer(sent[0]["status"], headers, b"".join(part["body"] for part in sent[1:]))


async def flask_in_ours(root: str, scope_from: Callable[[str, str], Any]) -> dict[str, Answer]:
    mounts = AsgiMounts(
        asgi_default,
        {"/api": AsgiMounts(flask_app, {"/v%C3%BC": flask_app}), "caf\u00e9/": flask_app},
    )
    async with LifespanManager(mounts):
        return {target: await ask_asgi(mounts, scope_from(target, root)) for target in TARGETS}


@pytest.mark.parametrize("root", ["", "/site"])
async def test_flask_has_the_urls_it_has_in_a_mount_of_starlettes(root: str) -> None:
    served = adapter(flask_app)
    below = Router([Mount("/v\u00fc", served)], default=served)
    theirs = Router([Mount("/api", below), Mount("/caf\u00e9", served)], default=asgi_default)
    ours = await flask_in_ours(root, scope_of)
    assert ours == {target: await ask_asgi(theirs, scope_of(target, root)) for target in TARGETS}
    assert ours["/caf%C3%A9"] == (300, f"http://example.org{root}/caf%C3%A9/")
    assert ours["/api/v%C3%BC/item/%FF%FE"][1]["path"] == f"{root}/api/v\xc3\xbc /item/\xff\xfe"
    assert ours["/api/item/x?q=%20"] == (
        200,
        {
            "arguments": {"name": "x"},
            "url": f"http://example.org{root}/api/item/x?q=%20",
            "base": f"http://example.org{root}/api/",
            "path": f"{root}/api /item/x",
            "item": f"http://example.org{root}/api/item/x",
            "static": f"{root}/api/static/x",
        },
    )


@pytest.mark.parametrize(
    ("root", "scope_from"), [("/site", scope_with_root_apart), ("/site/", scope_of)]
)
async def test_flask_has_the_same_urls_however_the_root_is_told(root: str, scope_from: Any) -> None:
    """Starlette's mounts do not stand that it was taken off, and make two slashes of one."""
    assert await flask_in_ours(root, scope_from) == await flask_in_ours("/site", scope_of)


def starlette_in_ours(root: str) -> dict[str, Answer]:
    mounts = WsgiMounts(
        wsgi_default,
        {
            "/api": WsgiMounts(starlette_app, {"/v%C3%BC": starlette_app}),
            "caf\u00e9/": starlette_app,
        },
    )
    with mounts:
        return {target: ask_wsgi(mounts, target, root) for target in TARGETS}


def ask_wsgi(app: Any, target: str, root: str) -> Answer:
    path, _, query = target.partition("?")
    host = WsgiHost(
        path=unquote_to_bytes(path).decode("latin-1"),
        SCRIPT_NAME=root,
        QUERY_STRING=query,
        REQUEST_URI=root.rstrip("/") + target,
    )
    host.serve(app)
    assert host.code is not None
    return answer(host.code, {name.lower(): value for name, value in host.headers}, host.body)


@pytest.mark.parametrize("root", ["", "/site"])
def test_starlette_has_the_urls_it_has_in_werkzeugs_dispatcher(root: str) -> None:
    ours = starlette_in_ours(root)
    with AsgiToWsgi(starlette_app) as served:
        below = DispatcherMiddleware(served, {"/v\xc3\xbc": served})
        theirs = DispatcherMiddleware(wsgi_default, {"/api": below, "/caf\xc3\xa9": served})
        assert ours == {target: ask_wsgi(theirs, target, root) for target in TARGETS}
    assert ours["/caf%C3%A9"] == (300, f"http://example.org{root}/caf%C3%A9/")
    assert ours["/api/item/x?q=%20"] == (
        200,
        {
            "arguments": {"name": "x"},
            "url": f"http://example.org{root}/api/item/x?q=%20",
            "base": f"http://example.org{root}/api/",
            "path": f"{root}/api {root}/api/item/x",
            "item": f"http://example.org{root}/api/item/x",
            "static": f"http://example.org{root}/api/static/x",
        },
    )


def test_starlette_has_the_same_urls_where_the_root_ends_with_a_slash() -> None:
    """Werkzeug's dispatcher makes two slashes of it."""
    assert starlette_in_ours("/site/") == starlette_in_ours("/site")
