"""The standard library's WSGI server, with a thread for each request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from gatebridge.types import StartResponse, WSGIApplication, WSGIEnvironment


class _Handler(WSGIRequestHandler):
    def parse_request(self) -> bool:
        assert isinstance(self.server, ThreadedServer)
        self.server.busy.add(threading.current_thread())
        return super().parse_request()


class ThreadedServer(ThreadingMixIn, WSGIServer):
    """A WSGI server with a thread for each request, HTTP/1.0.

    Args:
        listener: The bound socket.
        app: The WSGI application.

    Attributes:
        busy: The threads that serve a request.
    """

    daemon_threads = True  # connections that never send anything do not hold up the process
    request_queue_size = 128

    def __init__(self, listener: socket.socket, app: WSGIApplication) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.busy: set[threading.Thread] = set()

        def threaded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ["wsgi.multithread"] = True  # the handler does not know about the threads
            return app(environ, start_response)

        self.set_app(threaded)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.busy.discard(threading.current_thread())

    def join(self, seconds: float) -> None:
        """Wait for the responses in progress, at most ``seconds`` seconds."""
        deadline = time.monotonic() + seconds
        for thread in list(self.busy):
            thread.join(max(0, deadline - time.monotonic()))
