"""An MCP server at /mcp/ in a Flask application, on any WSGI server with threads.

python examples/mcp_in_flask.py                                        # Werkzeug's server
gunicorn --config examples/gunicorn_conf.py --chdir examples mcp_in_flask:app

    curl http://127.0.0.1:8000/
    curl http://127.0.0.1:8000/mcp/ -H 'content-type: application/json' \
        -H 'accept: application/json, text/event-stream' -d '{"jsonrpc": "2.0", "id": 1,
        "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "curl", "version": "1"}}}'

or from Python, in a coroutine:

    async with mcp.Client("http://127.0.0.1:8000/mcp/") as client:
        print(await client.call_tool("order", {"item": "book"}))

The MCP server needs its lifespan, and one event loop for all requests of a session: both are there
from the first request to the worker's end. A session lives in one process, so let Gunicorn have one
worker, and threads: each open stream needs one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flask import Flask
from mcp.server.mcpserver import Context, MCPServer

from gatebridge import AsgiToWsgi, WsgiMounts

orders: list[str] = []
carrier_came = asyncio.Event()


@asynccontextmanager
async def lifespan(_: MCPServer) -> AsyncIterator[None]:
    print("the MCP server is up", flush=True)
    yield
    print("the MCP server is down", flush=True)


app = Flask(__name__)
mcp_server = MCPServer("shop", lifespan=lifespan, log_level="WARNING")


@app.get("/")
def index() -> dict[str, list[str]]:
    """Answer as a Flask application does; it sees what the tools have done."""
    return {"orders": orders}


@mcp_server.tool()
async def order(item: str) -> str:
    """Order an item."""
    orders.append(item)
    return f"{item} is ordered"


@mcp_server.tool()
async def ship(context: Context) -> str:
    """Pack all orders, tell of each, and wait for the carrier."""
    for number, item in enumerate(orders, 1):
        await context.report_progress(number, len(orders), f"{item} is packed")
    await carrier_came.wait()
    carrier_came.clear()
    return f"shipped: {', '.join(orders)}"


@mcp_server.tool()
async def carrier() -> str:
    """Come for what is packed."""
    carrier_came.set()
    return "on the way"


mcp_app = mcp_server.streamable_http_app(streamable_http_path="/")
# Clients keep streams open: at the end they have 2 seconds, instead of 30.
served_mcp = AsgiToWsgi(mcp_app, shutdown_timeout=2)
app.wsgi_app = WsgiMounts(app.wsgi_app, {"/mcp": served_mcp})

if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
