"""A Flask application at /shop in FastAPI, on Uvicorn: each has its lifespan and its state.

uvicorn --app-dir examples flask_in_fastapi:app

    curl http://127.0.0.1:8000/
    curl http://127.0.0.1:8000/shop/

It prints what starts and ends: FastAPI first and last, Flask in between. `FastAPI.mount` would not
run the lifespan of what it mounts; and a WSGI application has one only if `LifespanShim` gives it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI, Request
from flask import Flask, request, url_for

from gatebridge import AsgiMounts, LifespanShim, WsgiToAsgi


@asynccontextmanager
async def fastapi_lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
    print("FastAPI is up", flush=True)
    yield {"greeting": "Good evening"}
    print("FastAPI is down", flush=True)


fastapi_app = FastAPI(lifespan=fastapi_lifespan)


@fastapi_app.get("/")
async def index(request: Request) -> dict[str, str]:
    return {"greeting": request.state.greeting}


@contextmanager
def flask_lifespan(_: object) -> Iterator[dict[str, list[str]]]:
    """Open what the requests need, in a worker thread: it may block."""
    print("Flask is up", flush=True)
    yield {"books": ["Faust", "Emma"]}
    print("Flask is down", flush=True)


flask_app = Flask(__name__)


@flask_app.get("/")
def shop() -> dict[str, object]:
    state = request.environ["asgi.scope"]["state"]
    return {"books": state["books"], "here": url_for("shop")}


app = AsgiMounts(fastapi_app, {"/shop": LifespanShim(WsgiToAsgi(flask_app), flask_lifespan)})
