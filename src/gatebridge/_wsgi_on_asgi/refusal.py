"""Requests of an ASGI server that are answered without the application."""

from __future__ import annotations

import logging

from gatebridge._translate.disconnects import receive_lost_client, send_lost_client
from gatebridge._translate.plain_response import plain_response
from gatebridge._translate.text import request_line
from gatebridge.types import Receive, Scope, Send

_logger = logging.getLogger("gatebridge")


async def send_refusal(
    scope: Scope, send: Send, status: int, text: str, *headers: tuple[bytes, bytes]
) -> None:
    """Answer a request without its application: one line of plain text, and a log record."""
    method = scope["method"]
    request = request_line(method, scope.get("path"))
    try:
        for message in plain_response(status, text, method, headers):
            await send(message)
    except BaseException as exc:
        if not (isinstance(exc, Exception) and send_lost_client(exc)):
            name = type(exc).__qualname__
            _logger.info("%s: %s before it was answered %d", request, name, status)
            raise
        _logger.info("%s: the client left before it was answered %d", request, status)
    else:
        _logger.info("%s: answered %d: %s", request, status, text)


async def refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake: WSGI has no WebSocket (ASGI WebSocket 2.5 "Connect")."""
    request = request_line("websocket", scope.get("path"))
    try:
        message = await receive()
    except Exception as exc:
        if not receive_lost_client(exc):
            raise
        message = {"type": "websocket.disconnect"}
    if message["type"] != "websocket.connect":
        _logger.info("%s: the client left before it was refused", request)
        return
    _logger.info("%s: refused: the application is a WSGI application", request)
    try:
        if "websocket.http.response" in (scope.get("extensions") or {}):
            text = "this server does not serve WebSocket here"
            for part in plain_response(501, text, "GET"):
                await send({**part, "type": f"websocket.{part['type']}"})
        else:
            await send({"type": "websocket.close"})
    except Exception as exc:
        if not send_lost_client(exc):
            raise
