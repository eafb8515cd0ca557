"""Serve the FastAPI example on the standard library's WSGI server, and ask it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from answers import TIMEOUT, Answer
from fastapi_app import log
from fastapi_on_wsgiref import app, new_server


def ask(client: httpx.Client) -> Iterator[Answer]:
    page = client.get("/")
    yield Answer(
        "GET /",
        page.status_code,
        len(page.content),
        "the lifespan had begun before, and gave its state",
        page.status_code == 200 and page.json() == {"greeting": "Good evening", "packed": []},
    )

    order = client.post("/orders/book")
    yield Answer(
        "POST /orders/book",
        order.status_code,
        len(order.content),
        "answered while the background task still waits",
        order.status_code == 200 and order.json() == {"ordered": "book"},
    )

    carrier = client.post("/carrier")
    yield Answer(
        "POST /carrier",
        carrier.status_code,
        len(carrier.content),
        "the background task went on, on the same loop",
        carrier.status_code == 200 and carrier.json() == {"packed": ["book"]},
    )

    heard: list[str] = []
    with client.stream("GET", "/events") as events:
        for line in events.iter_lines():
            heard += [line] if line else []
            if len(heard) == 3:
                break  # and leave, though the stream has no end
    yield Answer(
        "GET /events",
        events.status_code,
        sum(len(line) for line in heard),
        "events came one by one",
        events.status_code == 200 and heard == ["data: 0", "data: 1", "data: 2"],
    )

    end = client.get("/events/end")
    yield Answer(
        "GET /events/end",
        end.status_code,
        len(end.content),
        "the stream ended when its listener had left",
        end.status_code == 200 and end.json() == {"left": True},
    )

    again = client.get("/")
    yield Answer(
        "GET / again",
        again.status_code,
        len(again.content),
        "what the lifespan opened is there for all; it began once",
        again.status_code == 200 and again.json()["packed"] == ["book"] and log == ["opened"],
    )


@contextmanager
def served() -> Iterator[str]:
    """Serve in a thread of this process, so that nothing can be left running."""
    with app, new_server(0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(TIMEOUT)
    if log != ["opened", "closed"]:
        raise RuntimeError(f"the application's lifespan: {log}")
