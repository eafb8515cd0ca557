"""Serve the Flask example on a real Uvicorn, and ask it."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from answers import TIMEOUT, Answer
from flask_app import BLOCK
from flask_on_uvicorn import app


def ask(client: httpx.Client) -> Iterator[Answer]:
    page = client.get("/")
    yield Answer(
        "GET /",
        page.status_code,
        len(page.content),
        "the page is HTML",
        page.status_code == 200 and "<h1>Good morning</h1>" in page.text,
    )

    content = os.urandom(1 << 20)
    upload = client.post(
        "/upload", data={"title": "Invoice"}, files={"file": ("invoice.pdf", content)}
    )
    expected = {
        "title": "Invoice",
        "name": "invoice.pdf",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    yield Answer(
        "POST /upload, a form with a file of 1 MiB",
        upload.status_code,
        len(upload.content),
        "every byte arrived (SHA-256)",
        upload.status_code == 200 and upload.json() == expected,
    )

    stream, size, intact = BLOCK * 512, 0, True
    with client.stream("GET", "/download?blocks=512") as download:
        for part in download.iter_raw():
            intact = stream.startswith(part, size)
            size += len(part)
            if not intact:
                break  # at once: what went wrong may have no end
    yield Answer(
        "GET /download, streamed",
        download.status_code,
        size,
        "no length declared, every byte right as it arrives",
        download.status_code == 200
        and "content-length" not in download.headers
        and intact
        and size == len(stream),
    )

    missing = client.get("/no-such-page")
    yield Answer(
        "GET /no-such-page",
        missing.status_code,
        len(missing.content),
        "Flask's own 404 page",
        missing.status_code == 404 and "Not Found" in missing.text,
    )


def listen() -> socket.socket:
    """Return a socket on a free port; it listens before anybody is told of it."""
    return socket.create_server(("127.0.0.1", 0))


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


def new_server(level: str) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level=level))


@contextmanager
def served() -> Iterator[str]:
    """Serve in a thread of this process, so that nothing can be left running."""
    with listen() as listener:
        server = new_server("warning")

        def run() -> None:
            with listener:  # a server that failed to start must not keep its clients waiting
                server.run([listener])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield address(listener)
        finally:
            server.should_exit = True
            thread.join(TIMEOUT)
    if thread.is_alive():
        raise RuntimeError(f"Uvicorn did not stop within {TIMEOUT:g} seconds")
