"""Serve the examples on real servers, send them real requests, show what came back.

python examples/demo.py            # ask, show, and end; status 1 if an answer is wrong
python examples/demo.py --serve    # leave the server of the Flask example running
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

import ask_fastapi
import ask_flask
from answers import show
from rich.console import Console


def serve() -> None:
    with ask_flask.listen() as listener:
        where = ask_flask.address(listener)
        Console().print(f"Flask on Uvicorn: {where}  (Ctrl-C ends it)", soft_wrap=True)
        with suppress(KeyboardInterrupt):  # Uvicorn raises it again once it has shut down
            ask_flask.new_server("info").run([listener])


def demo() -> bool:
    """Show a table for each direction; return whether every answer was right."""
    flask = show("Flask on Uvicorn, through WsgiToAsgi", ask_flask.served, ask_flask.ask)
    fastapi = show(
        "FastAPI on the standard library's WSGI server, through AsgiToWsgi",
        ask_fastapi.served,
        ask_fastapi.ask,
    )
    return flask and fastapi


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="leave the server running")
    if parser.parse_args().serve:
        serve()
    else:
        sys.exit(0 if demo() else 1)


if __name__ == "__main__":
    main()
