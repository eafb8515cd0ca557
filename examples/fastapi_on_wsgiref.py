"""The FastAPI application on the standard library's WSGI server: no server is installed at all.

python examples/fastapi_on_wsgiref.py

    curl http://127.0.0.1:8000/
    curl -X POST http://127.0.0.1:8000/orders/book     # answered before the book is packed
    curl -X POST http://127.0.0.1:8000/carrier
    curl -N http://127.0.0.1:8000/events               # Ctrl-C ends it

Gunicorn serves it as well: gunicorn --worker-class gthread --threads 8 --chdir examples
fastapi_on_wsgiref:app
"""

from __future__ import annotations

import os
from contextlib import suppress
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from fastapi_app import fastapi_app

from gatebridge import AsgiToWsgi

app = AsgiToWsgi(fastapi_app)


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread for each connection: one that streams would keep all others waiting."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Prints no line for each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
        pass


def new_server(port: int) -> WSGIServer:
    return make_server("127.0.0.1", port, app, ThreadingServer, QuietHandler)


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    # Leaving the block ends the application's lifespan.
    with suppress(KeyboardInterrupt), app, new_server(port) as server:
        server.serve_forever()
