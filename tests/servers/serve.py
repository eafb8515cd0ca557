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
    elif name == "cheroot":
        from cheroot.wsgi import Server as Cheroot

        server = Cheroot(listener.getsockname(), application, numthreads=8)
        server.bind = lambda *_: setattr(server, "socket", listener)
        server.start()
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

        simple = Server(listener.getsockname(), simple_server.WSGIRequestHandler, False)
        simple.socket.close()
        simple.socket = listener
        simple.server_name, simple.server_port = listener.getsockname()
        simple.setup_environ()
        simple.set_app(application)
        simple.serve_forever()


def stop(number: int, frame: FrameType | None) -> None:
    sys.exit()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
