"""The shapes of both specifications, and that applications of any origin fit them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typing_extensions

from gatebridge import types

_ROOT = Path(__file__).parents[1]

_SCOPE = "type asgi path query_string headers"
_SCOPE_OPTIONAL = "scheme raw_path root_path client server state extensions wsgi_environ"

# From the ASGI specifications: what is always there, and what may be missing. To a scope that this
# library made comes the environ.
_SHAPES: dict[str, tuple[str, str]] = {
    "ASGIVersions": ("version", "spec_version"),
    "TLSExtension": (
        "server_cert tls_version cipher_suite",
        "client_cert_chain client_cert_name client_cert_error",
    ),
    "HTTPScope": (f"{_SCOPE} http_version method", _SCOPE_OPTIONAL),
    "WebSocketScope": (
        "type asgi path headers",
        f"{_SCOPE_OPTIONAL} http_version query_string subprotocols",
    ),
    "LifespanScope": ("type asgi", "state"),
    "HTTPRequestMessage": ("type", "body more_body"),
    "HTTPDisconnectMessage": ("type", ""),
    "HTTPResponseStartMessage": ("type status", "headers trailers"),
    "HTTPResponseBodyMessage": ("type", "body more_body"),
    "HTTPResponseTrailersMessage": ("type headers", "more_trailers"),
    "HTTPResponseZeroCopySendMessage": ("type file", "offset count more_body"),
    "HTTPResponsePathSendMessage": ("type path", ""),
    "HTTPResponseEarlyHintMessage": ("type links", ""),
    "HTTPResponsePushMessage": ("type path headers", ""),
    "HTTPResponseDebugMessage": ("type info", ""),
    "WebSocketConnectMessage": ("type", ""),
    "WebSocketAcceptMessage": ("type", "subprotocol headers"),
    "WebSocketReceiveMessage": ("type", "bytes text"),
    "WebSocketSendMessage": ("type", "bytes text"),
    "WebSocketDisconnectMessage": ("type", "code reason"),
    "WebSocketCloseMessage": ("type", "code reason"),
    "WebSocketDenialStartMessage": ("type status", "headers"),
    "WebSocketDenialBodyMessage": ("type", "body more_body"),
    "LifespanStartupMessage": ("type", ""),
    "LifespanStartupCompleteMessage": ("type", ""),
    "LifespanStartupFailedMessage": ("type", "message"),
    "LifespanShutdownMessage": ("type", ""),
    "LifespanShutdownCompleteMessage": ("type", ""),
    "LifespanShutdownFailedMessage": ("type", "message"),
}

_MESSAGE_TYPES = {
    "HTTPScope": "http",
    "WebSocketScope": "websocket",
    "LifespanScope": "lifespan",
    "HTTPRequestMessage": "http.request",
    "HTTPDisconnectMessage": "http.disconnect",
    "HTTPResponseStartMessage": "http.response.start",
    "HTTPResponseBodyMessage": "http.response.body",
    "HTTPResponseTrailersMessage": "http.response.trailers",
    "HTTPResponseZeroCopySendMessage": "http.response.zerocopysend",
    "HTTPResponsePathSendMessage": "http.response.pathsend",
    "HTTPResponseEarlyHintMessage": "http.response.early_hint",
    "HTTPResponsePushMessage": "http.response.push",
    "HTTPResponseDebugMessage": "http.response.debug",
    "WebSocketConnectMessage": "websocket.connect",
    "WebSocketAcceptMessage": "websocket.accept",
    "WebSocketReceiveMessage": "websocket.receive",
    "WebSocketSendMessage": "websocket.send",
    "WebSocketDisconnectMessage": "websocket.disconnect",
    "WebSocketCloseMessage": "websocket.close",
    "WebSocketDenialStartMessage": "websocket.http.response.start",
    "WebSocketDenialBodyMessage": "websocket.http.response.body",
    "LifespanStartupMessage": "lifespan.startup",
    "LifespanStartupCompleteMessage": "lifespan.startup.complete",
    "LifespanStartupFailedMessage": "lifespan.startup.failed",
    "LifespanShutdownMessage": "lifespan.shutdown",
    "LifespanShutdownCompleteMessage": "lifespan.shutdown.complete",
    "LifespanShutdownFailedMessage": "lifespan.shutdown.failed",
}


def optional_keys(typed_dict: Any) -> set[str]:
    """Return the keys that may be missing; the class itself cannot tell, under string hints."""
    hints = typing_extensions.get_type_hints(typed_dict, include_extras=True)
    not_required = typing_extensions.NotRequired
    return {
        key for key, hint in hints.items() if typing_extensions.get_origin(hint) is not_required
    }


@pytest.mark.parametrize("name", _SHAPES)
def test_a_shape_has_the_keys_of_the_specification(name: str) -> None:
    shape = getattr(types, name)
    required, optional = (set(keys.split()) for keys in _SHAPES[name])
    assert set(get_type_hints(shape)) == required | optional
    assert optional_keys(shape) == optional


@pytest.mark.parametrize(("name", "type_"), _MESSAGE_TYPES.items())
def test_a_shape_is_told_by_its_type(name: str, type_: str) -> None:
    hint = get_type_hints(getattr(types, name))["type"]
    assert typing_extensions.get_args(hint) == (type_,)


def test_every_shape_is_in_the_tables() -> None:
    shapes = {name for name, each in vars(types).items() if typing_extensions.is_typeddict(each)}
    assert shapes - {"Extensions", "TypedDict"} == set(_SHAPES)
    assert set(_MESSAGE_TYPES) == set(_SHAPES) - {"ASGIVersions", "TLSExtension"}


def test_extensions_are_those_of_the_specification() -> None:
    assert set(get_type_hints(types.Extensions)) == {
        *("http.response.debug", "http.response.early_hint", "http.response.pathsend"),
        *("http.response.push", "http.response.trailers", "http.response.zerocopysend"),
        *("tls", "websocket.http.response"),
    }


@pytest.mark.skipif(not find_spec("mypy"), reason="mypy is not installed")
def test_applications_and_servers_of_other_origins_fit(tmp_path: Path) -> None:
    checked = _ROOT / "tests" / "typing" / "applications.py"
    options = ["--strict", f"--cache-dir={tmp_path}", "--no-color-output"]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(checked)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (run.returncode, run.stdout + run.stderr) == (
        0,
        "Success: no issues found in 1 source file\n",
    )
