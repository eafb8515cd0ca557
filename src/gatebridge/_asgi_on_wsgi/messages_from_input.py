"""`messages_from_input`: a request's body as messages, read as `AsgiToWsgi` reads it."""

from __future__ import annotations

from collections.abc import Iterator

from gatebridge._arguments import require_int
from gatebridge._asgi_on_wsgi.request_body import RequestMessages
from gatebridge._translate.scope import scope_from_environ
from gatebridge.types import HTTPRequestMessage, WSGIEnvironment


def messages_from_input(
    environ: WSGIEnvironment, *, max_body_size: int | None = None
) -> Iterator[HTTPRequestMessage]:
    """Give the body of a WSGI request as ``http.request`` messages.

    Each message is read from ``wsgi.input`` when it is asked for, in the thread that asks, which
    waits for the client. None is longer than 65536 bytes; the last one alone has ``more_body``
    False, and a request without a body has that one only. Nothing is read past
    ``CONTENT_LENGTH``, which is the next request of the connection. Where the server sets
    ``wsgi.input_terminated``, a body of no length, or with ``Transfer-Encoding``, is read to its
    end. To be called once for each request. ::

        for message in messages_from_input(environ):
            parser.write(message.get("body", b""))

    What the iterator raises, after which it gives nothing more:

    - `RequestBodyError`: the body ends before its declared length (status 400), or has no declared
      length and is larger than ``max_body_size`` (status 413).
    - `HostError`: ``wsgi.input`` is missing, or breaks PEP 3333.
    - Whatever ``wsgi.input`` itself raises, as some servers do when the client has left.

    Args:
        environ: Of the request, as the server gave it.
        max_body_size: The largest body in bytes, None for any.

    Returns:
        An iterator of new dictionaries, each with ``type``, ``body`` and ``more_body``.

    Raises:
        RequestError: The request is one that `scope_from_environ` refuses (400); or its body has
            ``Transfer-Encoding``, on a server that does not say where such a body ends (411).
        RequestBodyError: The declared length is over ``max_body_size`` (413).
        HostError: The environ breaks PEP 3333.
        TypeError: A number is of the wrong type.
        ValueError: A number is out of range.

    Source: PEP 3333 "Input and Error Streams"; ASGI HTTP 2.5 "Request"; RFC 9112 section 6.3.
    """
    require_int(0, or_none=True, max_body_size=max_body_size)
    return _messages(RequestMessages(environ, scope_from_environ(environ), max_body_size))


def _messages(body: RequestMessages) -> Iterator[HTTPRequestMessage]:
    more = True
    while more:
        part, more = (b"", False) if body.over else body.read()
        yield {"type": "http.request", "body": part, "more_body": more}
