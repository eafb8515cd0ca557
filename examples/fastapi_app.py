"""A small FastAPI application: lifespan, background task, events. It knows nothing of WSGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse

log: list[str] = []
"""What the lifespan did, for whoever stops the server."""


class Shop:
    """What the lifespan opens, and every request finds."""

    def __init__(self) -> None:
        self.packed: list[str] = []
        self.carrier_came = asyncio.Event()
        self.carrier_left = asyncio.Event()
        self.listener_left = asyncio.Event()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Shop]]:
    log.append("opened")
    yield {"shop": Shop()}
    log.append("closed")


fastapi_app = FastAPI(lifespan=lifespan)


@fastapi_app.get("/")
async def index(request: Request) -> dict[str, object]:
    shop: Shop = request.state.shop
    return {"greeting": "Good evening", "packed": shop.packed}


@fastapi_app.post("/orders/{name}")
async def order(name: str, request: Request, background: BackgroundTasks) -> dict[str, str]:
    """Answer at once; the order is packed when the carrier has come."""
    shop: Shop = request.state.shop

    async def pack() -> None:
        await shop.carrier_came.wait()
        shop.packed.append(name)
        shop.carrier_left.set()

    background.add_task(pack)
    return {"ordered": name}


@fastapi_app.post("/carrier")
async def carrier(request: Request) -> dict[str, object]:
    """Come for the orders, and wait until they are packed."""
    shop: Shop = request.state.shop
    shop.carrier_came.set()
    await shop.carrier_left.wait()
    return {"packed": shop.packed}


@fastapi_app.get("/events")
async def events(request: Request) -> StreamingResponse:
    """Send events for as long as there is somebody who listens."""
    shop: Shop = request.state.shop

    async def numbers() -> AsyncIterator[str]:
        try:
            number = 0
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.05)
        finally:
            shop.listener_left.set()

    return StreamingResponse(numbers(), media_type="text/event-stream")


@fastapi_app.get("/events/end")
async def end_of_events(request: Request) -> dict[str, bool]:
    """Wait until a listener has left."""
    shop: Shop = request.state.shop
    await shop.listener_left.wait()
    return {"left": True}
