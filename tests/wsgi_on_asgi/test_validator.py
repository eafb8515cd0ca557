"""`wsgiref.validate` around applications, served through the adapter, has nothing to say."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from wsgiref.util import request_uri
from wsgiref.validate import validator

import bottle
import flask
import pytest

from wsgi_on_asgi.apps import Environ, adapter
from wsgi_on_asgi.host import Host, extensions

pytestmark = [
    pytest.mark.direction("w2a"),
    pytest.mark.clause("W-VAL-01", "W-VAL-02", "W-ENV-04", "W-ENV-07", "W-ENV-14", "W-IN-01"),
    pytest.mark.filterwarnings("error"),
]

TEXT = ("Content-Type", "text/plain; charset=utf-8")


def bare(environ: Environ, start_response: Any) -> Iterator[bytes]:
    stream, errors = environ["wsgi.input"], environ["wsgi.errors"]
    parts = [stream.readline(3), stream.read(2), *stream.readlines(1), *stream, stream.read(-1)]
    errors.write("one ")
    errors.writelines(["two"])
    errors.flush()
    start_response("200 OK", [TEXT])
    yield b"".join(parts)
    yield b"!"


def writing(environ: Environ, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(environ["wsgi.input"].read(1000))
    return [b"!"]


def empty(environ: Environ, start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read(1000)
    start_response("204 No Content", [])
    return []


def with_exc_info(environ: Environ, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read(1000)
    start_response("200 OK", [TEXT])
    try:
        raise ValueError
    except ValueError:
        start_response("200 OK", [TEXT], sys.exc_info())
    return [body, b"!"]


flask_app = flask.Flask("application")


@flask_app.route("/", methods=["GET", "POST"])
@flask_app.route("/<path:path>", methods=["GET", "POST"])
def flask_view(path: str = "") -> str:
    # With a size: the validator refuses `read()` without, which is legal, and what Flask does else.
    return flask.request.stream.read(1000).decode() + "!"


bottle_app = bottle.Bottle()


@bottle_app.route("/", method=["GET", "POST"])
@bottle_app.route("/<path:path>", method=["GET", "POST"])
def bottle_view(path: str = "") -> bytes:
    return bottle.request.body.read() + b"!"


SCOPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "mounted": {"root_path": "/api", "path": "/api/x", "raw_path": b"/api/x"},
    "mounted with slash": {"root_path": "/api/", "path": "/api/x"},
    "non-ASCII": {"path": "/\xe4\u4e2d", "raw_path": b"/%C3%A4%E4%B8%AD"},
    "query": {"query_string": b"a=%C3%A4&b"},
    "unix socket": {"server": ["/run/app.sock", None], "client": None},
    "unknown server": {"server": None, "client": None, "headers": []},
    "ipv6": {"server": ("::1", 8000), "client": ("::1", 5)},
    "https": {"scheme": "https", "server": ("example.org", 443)},
    "http 1.0": {"http_version": "1.0"},
    "http 2": {"http_version": "2"},
    "extensions": {"extensions": extensions("http.response.zerocopysend",
                                            "http.response.early_hint")},
}  # fmt: skip

APPS = {"bare": bare, "writing": writing, "exc_info": with_exc_info,
        "flask": flask_app.wsgi_app, "bottle": bottle_app}  # fmt: skip


async def validated(app: Any, *body: bytes, **scope: Any) -> Host:
    host = Host(*body, **scope)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await host.serve(adapter(validator(app), errors=io.StringIO()))
    return host


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
async def test_it_is_silent_for_a_page(app: Any, scope: dict[str, Any]) -> None:
    host = await validated(app, **scope)
    assert (host.status, host.body) == (200, b"!")


@pytest.mark.parametrize("app", APPS.values(), ids=APPS)
@pytest.mark.parametrize("parts", [[b"line\nand more\n"], [b"li", b"ne\nand", b" more", b"\n"]])
async def test_it_is_silent_for_a_body(app: Any, parts: list[bytes]) -> None:
    body = b"".join(parts)
    headers = [
        (b"host", b"example.org"),
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"text/plain"),
    ]
    host = await validated(app, *parts, method="POST", headers=headers)
    assert (host.status, host.body) == (200, body + b"!")


@pytest.mark.parametrize("app", [bare, empty, flask_app.wsgi_app, bottle_app])
async def test_it_is_silent_for_head(app: Any) -> None:
    host = await validated(app, method="HEAD")
    assert host.body == b""


@pytest.mark.clause("D-05")
async def test_it_objects_to_a_star_only(recwarn: pytest.WarningsRecorder) -> None:
    """The one target that WSGI cannot show otherwise; elsewhere it would be an empty path."""
    with pytest.raises(AssertionError):
        await Host(method="OPTIONS", path="*", raw_path=b"*").serve(adapter(validator(bare)))


@pytest.mark.clause("W-VAL-03")
@pytest.mark.parametrize(
    ("scheme", "objects"), [("http", False), ("https", False), ("gopher", True)]
)
async def test_the_scheme_is_passed_on_as_the_server_gives_it(scheme: str, objects: bool) -> None:
    if objects:
        with pytest.raises(AssertionError, match="url_scheme"):
            await validated(bare, scheme=scheme)
    else:
        assert (await validated(bare, scheme=scheme)).status == 200


@pytest.mark.clause("W-ENV-23")
@pytest.mark.parametrize(
    ("scope", "url"),
    [
        ({}, "http://example.org/"),
        ({"headers": [], "path": "/a b"}, "http://192.0.2.80/a%20b"),
        ({"headers": [], "server": ("::1", 8000)}, "http://[::1]:8000/"),
        ({"root_path": "/m", "path": "/m/x", "query_string": b"q=1"}, "http://example.org/m/x?q=1"),
    ],
)
async def test_the_url_can_be_rebuilt(scope: dict[str, Any], url: str) -> None:
    urls: list[str] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        urls.append(request_uri(environ))
        start_response("200 OK", [TEXT])
        return [b"!"]

    await Host(**scope).serve(adapter(app))
    assert urls == [url]
