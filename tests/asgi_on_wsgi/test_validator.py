"""The standard library's own judges: `wsgiref.validate`, and the asserts of `wsgiref.handlers`."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from asgi_on_wsgi.apps import Message, body, echo, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host

pytestmark = [
    pytest.mark.direction("a2w"),
    pytest.mark.clause("W-VAL-04", "W-VAL-06", "W-SR-03", "W-SR-05", "W-CALL-07", "W-IN-07"),
]

FILE: Message = {"type": "http.response.pathsend", "path": __file__}
CONTENT = Path(__file__).read_bytes()
HOP = [(b"connection", b"keep-alive"), (b"keep-alive", b"5"), (b"status", b"200 OK")]

# Messages, and the body that they make.
RESPONSES: dict[str, tuple[list[Message], bytes]] = {
    "complete": ([start(), body(b"ab")], b"ab"),
    "empty": ([start(), body()], b""),
    "streamed": ([start(), *[body(b"a", more=True)] * 3, body(b"b")], b"aaab"),
    "with empty parts": ([start(), body(b"", more=True), body(b"a", more=True), body()], b"a"),
    "with a length": ([start(200, (b"content-length", b"2")), body(b"ab")], b"ab"),
    "with hop-by-hop headers": ([start(200, *HOP), body(b"ab")], b"ab"),
    "of an unknown status": ([start(599), body(b"ab")], b"ab"),
    "of a memoryview": ([start(), body(memoryview(b"ab"))], b"ab"),  # type: ignore[arg-type]
    "a file": ([start(), FILE], CONTENT),
}
responses = pytest.mark.parametrize(("messages", "content"), RESPONSES.values(), ids=RESPONSES)


def validated(adapter: Any, host: Host) -> Host:
    """Serve a request through the validator; it objects by `AssertionError` or by a warning.

    It asks for an input with all methods, and hands on one that objects to all but ``read(size)``.
    """
    content = b"".join(host.input._parts)
    host.environ["wsgi.input"] = io.BytesIO(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        host.serve(validator(adapter))
    return host


def handled(adapter: Any, host: Host) -> bytes:
    """Serve a request by the handler of `wsgiref`, and return what goes out."""
    out, errors = io.BytesIO(), io.StringIO()
    handler = SimpleHandler(host.environ["wsgi.input"], out, errors, host.environ)
    handler.http_version = "1.1"  # of the response
    host.call(lambda environ, start_response: _run(handler, adapter, start_response))
    host.close()
    assert errors.getvalue() == ""
    return out.getvalue()


def _run(handler: SimpleHandler, adapter: Any, start_response: Any) -> list[bytes]:
    handler.run(adapter)
    start_response("200 OK", [])
    return []


@responses
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_validator_is_silent(
    adapt: Adapt, messages: list[Message], content: bytes, method: str
) -> None:
    host = validated(adapt(sending(*messages), offer_pathsend=True), Host(method=method))
    assert host.body == (b"" if method == "HEAD" else content)


@pytest.mark.parametrize("parts", [[b"whole"], [b"in ", b"parts"], [b"x" * 70_000, b"y" * 70_000]])
@pytest.mark.parametrize("declared", [True, False])
def test_the_validator_is_silent_for_a_body(
    adapt: Adapt, parts: list[bytes], declared: bool
) -> None:
    environ = {} if declared else {"length": None, "wsgi.input_terminated": True}
    host = Host(list(parts), method="POST", **environ)  # type: ignore[arg-type]
    assert validated(adapt(echo), host).body == b"".join(parts)


@pytest.mark.parametrize("status", [204, 304])
def test_the_validator_is_silent_without_content(adapt: Adapt, status: int) -> None:
    head = {"type": "http.response.start", "status": status}
    assert validated(adapt(sending(head, body(b"dropped"))), Host()).code == status


def test_the_validator_is_silent_when_the_client_leaves(adapt: Adapt) -> None:
    adapter = adapt(sending(start(), *[body(b"x" * 100, more=True)] * 100, body()), window_bytes=99)
    host = Host(**{"wsgi.input": io.BytesIO()})  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        host.call(validator(adapter))
        host.next()
        host.close()


@responses
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_handler_is_content(
    adapt: Adapt, messages: list[Message], content: bytes, method: str
) -> None:
    """It has means of its own for files, and for the length of a complete response."""
    host = Host(method=method, **{"wsgi.file_wrapper": FileWrapper})  # type: ignore[arg-type]
    out = handled(adapt(sending(*messages), offer_pathsend=True), host)
    head, _, rest = out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % messages[0]["status"])
    assert b"keep-alive" not in head.lower()
    assert rest == (b"" if method == "HEAD" else content)


def test_the_handler_is_content_with_a_body(adapt: Adapt) -> None:
    assert handled(adapt(echo), Host([b"in ", b"parts"], method="POST")).endswith(b"in parts")
