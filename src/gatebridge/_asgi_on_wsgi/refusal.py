"""Requests of a WSGI server that are answered without the application."""

from __future__ import annotations

import logging

from gatebridge._translate.head_from_asgi import head_from_asgi
from gatebridge._translate.plain_response import plain_response
from gatebridge._translate.text import request_line
from gatebridge.errors import RequestError
from gatebridge.types import StartResponse, WSGIEnvironment

_logger = logging.getLogger("gatebridge")


def return_refusal(
    environ: WSGIEnvironment, start_response: StartResponse, error: RequestError
) -> list[bytes]:
    """Refuse a request, and say why in one line."""
    method = str(environ.get("REQUEST_METHOD"))
    request = request_line(method, environ.get("PATH_INFO"))
    _logger.info("%s: answered %d: %s", request, error.status, error)
    headers = [(b"sec-websocket-version", b"13")] if error.status == 426 else []
    start, message = plain_response(error.status, str(error), method, headers)
    head = head_from_asgi(start["status"], start.get("headers", ()))
    start_response(head.status, head.headers)
    body = message.get("body")
    return [body] if body else []
