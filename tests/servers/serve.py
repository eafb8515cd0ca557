"""The application on servers that are functions: ``python -m servers.serve NAME DESCRIPTOR``."""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import FrameType

if "GATEBRIDGE_APP" in os.environ:
    from gatebridge.auto import wsgi as application
else:
    from servers.asgi_site import application


def serve(name: str, listener: socket.socket) -> None:
    if name == "waitress":
        import waitress  # type: ignore[import-untyped, unused-ignore]

        waitress.serve(application, sockets=[listener], threads=8)
    elif name == "werkzeug":
        from werkzeug.serving import make_server

        host, port = listener.getsockname()
        make_server(host, port, application, threaded=True, fd=listener.fileno()).serve_forever()
    elif name == "gevent":
        from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped, unused-ignore]

        listener.setblocking(False)
        WSGIServer(listener, application, log=None).serve_forever()
    else:
        assert name == "wsgiref"
        from socketserver import ThreadingMixIn
        from wsgiref import simple_server

        class Server(ThreadingMixIn, simple_server.WSGIServer):
            pass

        server = Server(listener.getsockname(), simple_server.WSGIRequestHandler, False)
        server.socket.close()
        server.socket = listener
        server.server_name, server.server_port = listener.getsockname()
        server.setup_environ()
        server.set_app(application)
        server.serve_forever()


def stop(number: int, frame: FrameType | None) -> None:
    sys.exit()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
