"""Serve the Flask example on a real Uvicorn, send it real requests, show what came back.

python examples/demo.py            # ask, show, and end; status 1 if an answer is wrong
python examples/demo.py --serve    # leave the server running
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import httpx
import uvicorn
from flask_app import BLOCK
from flask_on_uvicorn import app
from rich.console import Console
from rich.markup import escape
from rich.table import Table

TIMEOUT = 30.0  # seconds, for each thing that may take time


class Answer(NamedTuple):
    """A row of the table: what was asked, what was answered, and whether that is right."""

    asked: str
    status: int
    size: int
    checked: str
    right: bool


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


def serve() -> None:
    with listen() as listener:
        Console().print(f"Flask on Uvicorn: {address(listener)}  (Ctrl-C ends it)", soft_wrap=True)
        with suppress(KeyboardInterrupt):  # Uvicorn raises it again once it has shut down
            new_server("info").run([listener])


def demo() -> bool:
    """Show a table of requests and answers; return whether all came, and every one was right."""
    table = Table(title="Flask on Uvicorn, through WsgiToAsgi")
    for column in ("asked", "status", "bytes", "checked", ""):
        table.add_column(column, justify="right" if column in ("status", "bytes") else "left")
    all_right = True
    try:
        with served() as base_url, httpx.Client(base_url=base_url, timeout=TIMEOUT) as client:
            for asked, status, size, checked, right in ask(client):
                verdict = "[green]right[/]" if right else "[red]WRONG[/]"
                table.add_row(asked, str(status), f"{size:,}", checked, verdict)
                all_right &= right
    except httpx.RequestError as error:
        asked = f"{error.request.method} {error.request.url.path}"
        table.add_row(asked, "", "", escape(repr(error)), "[red]WRONG[/]")
        all_right = False
    Console().print(table)
    return all_right


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="leave the server running")
    if parser.parse_args().serve:
        serve()
    else:
        sys.exit(0 if demo() else 1)


if __name__ == "__main__":
    main()
