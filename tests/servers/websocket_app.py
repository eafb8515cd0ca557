"""A WebSocket application, without a framework, for servers that are processes of their own."""

from __future__ import annotations

from gatebridge import AsgiToWsgi
from gatebridge.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"page"})
        return
    if scope["path"] == "/denied":
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"who?"})
        return
    if scope["path"] == "/closed":
        await send({"type": "websocket.close"})
        return
    assert await receive() == {"type": "websocket.connect"}
    subprotocol = next(iter(scope["subprotocols"]), None)
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "as you wish"})
        elif message.get("text") == "raise":
            raise ZeroDivisionError
        else:
            await send({**message, "type": "websocket.send"})


application = AsgiToWsgi(app)
