"""``wsgi.early_hints``: offered where the server can, before the response only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatebridge.errors import WsgiAppError
from wsgi_on_asgi.apps import TEXT, Environ, Gate, adapter, serve
from wsgi_on_asgi.host import Host, extensions

pytestmark = [
    pytest.mark.direction("w2a"),
    pytest.mark.clause("C-07", "A-EXT-08", "H-EH-01", "D-37"),
]

OFFERED = extensions("http.response.early_hint")
STYLE, SCRIPT = "</a.css>; rel=preload", "</b.js>; rel=preload"


@pytest.mark.clause("A-CORE-14", "H-STAT-03")
@pytest.mark.parametrize(
    ("offer", "version", "there"),
    [
        (OFFERED, "1.1", True),
        (OFFERED, "2", True),
        (OFFERED, "3", True),
        (OFFERED, "1.0", False),
        ({}, "1.1", False),
        (None, "1.1", False),
        (extensions("http.response.push"), "1.1", False),
    ],
)
async def test_it_is_there_only_if_offered_and_not_for_http_1_0(
    offer: Any, version: str, there: bool
) -> None:
    environs: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environs.append(environ)
        start_response("200 OK", [])
        return []

    await serve(app, extensions=offer, http_version=version)
    assert ("wsgi.early_hints" in environs[0]) is there


async def test_hints_are_sent_at_once_while_the_application_computes() -> None:
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", STYLE), ("link", SCRIPT)])
        gate()
        start_response("200 OK", [TEXT])
        return [b"x"]

    host = Host(extensions=OFFERED)
    async with host.background(adapter(app)):
        await gate.reached()
        await host.until(lambda: host.sent)
        assert host.sent == [
            {"type": "http.response.early_hint", "links": [STYLE.encode(), SCRIPT.encode()]}
        ]
        gate.open()
    assert (host.error, host.types, host.body) == (None, ["early_hint", "start", "body"], b"x")


@pytest.mark.parametrize("streams", [True, False])
async def test_hints_may_be_sent_repeatedly_and_after_start_response(streams: bool) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        environ["wsgi.early_hints"]([("Link", STYLE)])
        start_response("200 OK", [TEXT])
        environ["wsgi.early_hints"]([("Link", SCRIPT)])
        return iter([b"x"]) if streams else [b"x"]

    host = await serve(app, extensions=OFFERED)
    hints = [message for message in host.sent if message["type"].endswith("hint")]
    assert [hint["links"] for hint in hints] == [[STYLE.encode()], [SCRIPT.encode()]]
    assert host.types[:3] == ["early_hint", "early_hint", "start"]


@pytest.mark.clause("W-EXT-01")
async def test_it_does_nothing_once_the_response_has_begun() -> None:
    """The strict host objects to a hint after the start."""

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        yield b"x"
        environ["wsgi.early_hints"]([("Link", STYLE)])
        yield b"y"

    host = await serve(app, extensions=OFFERED)
    assert ("early_hint" in host.types, host.body) == (False, b"xy")


@pytest.mark.clause("W-EXT-01")
async def test_it_does_nothing_after_the_request() -> None:
    kept: list[Any] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.early_hints"])
        start_response("200 OK", [])
        return []

    host = await serve(app, extensions=OFFERED)
    kept[0]([("Link", STYLE)])
    assert "early_hint" not in host.types


@pytest.mark.parametrize(
    "make_headers",
    [
        pytest.param(lambda: [("X-Other", "1"), ("Link", STYLE)], id="other names"),
        pytest.param(lambda: (("LINK", STYLE),), id="tuple"),
        pytest.param(lambda: {"Link": STYLE}.items(), id="view"),
        pytest.param(lambda: iter([("link", f" {STYLE} ")]), id="iterator"),
    ],
)
async def test_only_the_values_of_link_go_out(make_headers: Callable[[], Any]) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"](make_headers())
        start_response("200 OK", [])
        return []

    host = await serve(app, extensions=OFFERED)
    assert host.sent[0]["links"] == [STYLE.encode()]


@pytest.mark.parametrize("headers", [[], [("X-Other", "1")]])
async def test_nothing_is_sent_without_a_link(headers: Any) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"](headers)
        start_response("200 OK", [])
        return []

    assert "early_hint" not in (await serve(app, extensions=OFFERED)).types


@pytest.mark.clause("W-SR-07", "H-HDR-02", "W-STR-03")
@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "\u4e2d", b"</a>", None])
async def test_a_bad_value_is_an_error_and_is_not_sent(value: Any) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", value)])
        return []

    host = Host(extensions=OFFERED)
    with pytest.raises(WsgiAppError, match="link"):
        await host.serve(adapter(app))
    assert host.sent == []


async def test_hints_before_an_error_leave_the_response_to_the_server() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", STYLE)])
        raise ZeroDivisionError

    host = Host(extensions=OFFERED)
    with pytest.raises(ZeroDivisionError):
        await host.serve(adapter(app))
    assert "start" not in host.types
