"""``messages_from_input``: the body as messages, in the server's thread.

`Host` objects to any use of the input but ``read(size)`` with a positive size, to more than what
remains of a declared length, and to a read after the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_on_wsgi.host import Host
from gatebridge import messages_from_input
from gatebridge.errors import HostError, RequestBodyError, RequestError
from gatebridge.types import StartResponse, WSGIEnvironment

pytestmark = pytest.mark.direction("a2w")

TERMINATED: dict[str, Any] = {"wsgi.input_terminated": True}
CHUNKED: dict[str, Any] = {**TERMINATED, "HTTP_TRANSFER_ENCODING": "chunked"}
UNREAD = AssertionError("it was read")  # as a part of a body


class Site:
    """A WSGI application that notes the messages, and answers with how much they hold."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.messages: list[Any] = []
        self.error: Exception | None = None
        self.iterator: Iterator[Any] = iter(())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            self.iterator = messages_from_input(environ, **self._options)
            self.messages.extend(self.iterator)
        except Exception as exc:  # noqa: BLE001 - tests look at it
            self.error = exc
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"%d" % len(self.body)]

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages)


def served(*args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> tuple[Site, Host]:
    """Return an application after one request, and its server."""
    site = Site(**(options or {}))
    return site, Host(*args, **{"method": "POST", **kwargs}).serve(site)


@pytest.mark.clause("W-IN-07", "W-IN-08", "CGI-18", "A-HTTP-16", "A-CORE-15", "D-51")
@given(
    parts=st.lists(st.binary(min_size=1, max_size=9).map(lambda part: part * 9000), max_size=5),
    how=st.sampled_from(["declared", "ended by the server", "chunked"]),
    method=st.sampled_from(["GET", "POST"]),
)
def test_any_split_gives_the_same_body(parts: list[bytes], how: str, method: str) -> None:
    content = b"".join(parts)
    environ = {"declared": {}, "ended by the server": TERMINATED, "chunked": CHUNKED}[how]
    length = len(content) if how == "declared" else None
    site, host = served(list(parts), length=length, method=method, **environ)
    assert (site.error, site.body) == (None, content)
    last = len(site.messages) - 1
    assert site.messages == [
        {"type": "http.request", "body": message["body"], "more_body": number < last}
        for number, message in enumerate(site.messages)
    ]
    assert all(type(message["body"]) is bytes for message in site.messages)
    assert all(size <= 65536 for size in host.input.sizes)


@pytest.mark.clause("W-IN-08", "CGI-18")
@pytest.mark.parametrize("length", [1, 65536, 65537, 200_000])
def test_what_follows_a_declared_length_is_not_touched(length: int) -> None:
    content = bytes(range(256)) * 800
    site, host = served(content, length=length)
    assert site.body == content[:length]
    assert host.input._parts == [content[length:]]


@pytest.mark.clause("A-HTTP-17", "D-51")
@pytest.mark.parametrize("length", [None, "", "0"])
def test_without_a_body_there_is_one_message_and_nothing_is_read(length: str | None) -> None:
    site, _ = served([UNREAD], length=length)
    assert site.messages == [{"type": "http.request", "body": b"", "more_body": False}]


@pytest.mark.clause("H-MSG-05", "D-51")
def test_a_length_beside_a_transfer_coding_does_not_count() -> None:
    site, host = served([b"123", b"456"], length=None, CONTENT_LENGTH="2", **CHUNKED)
    assert site.body == b"123456"
    assert host.input._parts == []


@pytest.mark.clause("W-HTTP-01", "D-32")
def test_a_message_is_read_when_it_is_asked_for() -> None:
    """So that an application may refuse an upload before the client sends it."""
    reads: list[list[int]] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        messages = messages_from_input(environ)
        reads.append(list(host.input.sizes))
        assert next(messages)["body"] == b"123"
        reads.append(list(host.input.sizes))
        start_response("200 OK", [])
        return []

    host = Host([b"123", UNREAD], length=6, method="POST", headers={"expect": "100-continue"})
    host.serve(app)
    assert reads == [[], [6]]


# --- what is refused at once ----------------------------------------------------------------------


@pytest.mark.clause("H-MSG-09", "D-51")
@pytest.mark.parametrize("terminated", [None, False])
def test_a_body_whose_end_cannot_be_known_is_411(terminated: bool | None) -> None:
    environ = {**CHUNKED, "wsgi.input_terminated": terminated}
    site, host = served([UNREAD], length=None, **environ)
    assert isinstance(site.error, RequestError)
    assert (site.error.status, host.input.sizes) == (411, [])


@pytest.mark.clause("H-MSG-10")
def test_a_declared_length_over_the_limit_is_413() -> None:
    site, host = served([b"123456"], options={"max_body_size": 5})
    assert isinstance(site.error, RequestBodyError)
    assert (site.error.status, host.input.sizes) == (413, [])


@pytest.mark.clause("H-MSG-10")
@pytest.mark.parametrize("environ", [{}, {"length": None, **CHUNKED}])
def test_a_body_of_the_limit_passes(environ: dict[str, Any]) -> None:
    site, _ = served([b"123", b"456"], options={"max_body_size": 6}, **environ)
    assert (site.error, site.body) == (None, b"123456")


@pytest.mark.clause("H-MSG-01", "H-MSG-04")
def test_a_request_that_cannot_be_translated_is_400() -> None:
    site, host = served([UNREAD], length="+5")
    assert isinstance(site.error, RequestError)
    assert (site.error.status, host.input.sizes) == (400, [])


def test_an_environ_that_breaks_the_specification_is_an_error_of_the_host() -> None:
    site, _ = served(b"123", REQUEST_METHOD=b"POST")
    assert isinstance(site.error, HostError)


@pytest.mark.parametrize(("number", "error"), [(-1, ValueError), (1e6, TypeError)])
def test_a_limit_is_a_whole_number_of_at_least_zero(number: Any, error: type[Exception]) -> None:
    site, _ = served([UNREAD], options={"max_body_size": number})
    assert isinstance(site.error, error)


def test_the_call_raises_and_not_the_iteration() -> None:
    host = Host([UNREAD], length=None, method="POST", headers={"transfer-encoding": "chunked"})
    with pytest.raises(RequestError):
        messages_from_input(host.environ)


# --- what is raised on the way --------------------------------------------------------------------


@pytest.mark.clause("D-15", "H-MSG-07")
@pytest.mark.parametrize("body", [[], [b"123"], [b"123", b""]])
def test_a_body_that_is_too_short_raises_and_never_looks_complete(body: list[bytes]) -> None:
    site, _ = served(body, length=6)
    assert isinstance(site.error, RequestBodyError)
    assert (site.error.status, site.error.field) == (400, "content-length")
    assert all(message["more_body"] for message in site.messages)
    assert list(site.iterator) == []


@pytest.mark.clause("H-MSG-10")
def test_an_undeclared_body_over_the_limit_is_413_where_it_is_exceeded() -> None:
    site, _ = served([b"123", b"456"], length=None, options={"max_body_size": 5}, **CHUNKED)
    assert isinstance(site.error, RequestBodyError)
    assert (site.error.status, site.body) == (413, b"123")


def test_what_the_input_raises_comes_out_as_it_is() -> None:
    error = ConnectionResetError("the client has left")
    site, _ = served([b"123", error], length=6)
    assert (site.error, site.body) == (error, b"123")


def test_a_missing_input_is_an_error_of_the_host() -> None:
    site, _ = served(length=6, **{"wsgi.input": None})
    assert isinstance(site.error, HostError)


@pytest.mark.parametrize("part", ["text", None, b"1234567"])
def test_an_input_that_breaks_the_specification_is_an_error_of_the_host(part: Any) -> None:
    class Input:
        def read(self, size: int) -> Any:
            return part

    site, _ = served(length=6, **{"wsgi.input": Input()})
    assert isinstance(site.error, HostError)
    assert site.error.field == "wsgi.input"
