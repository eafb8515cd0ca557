"""``gatebridge.auto`` on the servers of its users: one of each kind."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import httpx
import pytest

from servers.needs import missing, require
from servers.processes import HANG, python, run_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")

_FLASK = """\
import flask
app = flask.Flask("site")

@app.get("/")
def page():
    return "from Flask"
"""

_FASTAPI = """\
from contextlib import asynccontextmanager
import fastapi

@asynccontextmanager
async def lifespan(app):
    yield {"name": "FastAPI"}

def create_app():
    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/")
    async def page(request: fastapi.Request):
        return f"from {request.state.name}"

    return app
"""


def test_flask_by_its_name_on_uvicorn() -> None:
    require(missing("flask", "uvicorn"))

    def command(folder: Path, listener: socket.socket) -> list[str]:
        (folder / "site_of_user.py").write_text(_FLASK)
        return python("uvicorn", f"--fd={listener.fileno()}", "gatebridge.auto:asgi")

    with run_server(command, GATEBRIDGE_APP="site_of_user:app") as server:
        assert httpx.get(server.url, timeout=HANG, trust_env=False).text == "from Flask"


def test_fastapi_by_its_factory_on_gunicorn() -> None:
    require(missing("fastapi", "gunicorn"))

    def command(folder: Path, listener: socket.socket) -> list[str]:
        (folder / "site_of_user.py").write_text(_FASTAPI)
        return python("gunicorn", f"--bind=fd://{listener.fileno()}", "gatebridge.auto:wsgi")

    with run_server(command, GATEBRIDGE_APP="site_of_user:create_app()") as server:
        assert httpx.get(server.url, timeout=HANG, trust_env=False).json() == "from FastAPI"


_PROCESSES = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"of many" if environ["wsgi.multiprocess"] else b"of one"]
"""


@pytest.mark.clause("W-ENV-20", "D-17")
@pytest.mark.parametrize(
    ("server", "options", "told"),
    [
        ("uvicorn", ["--fd={fd}"], "of one"),
        ("uvicorn", ["--fd={fd}", "--workers=2"], "of many"),
        ("hypercorn", ["--bind=fd://{fd}", "--workers=0"], "of one"),
        ("hypercorn", ["--bind=fd://{fd}"], "of many"),
        ("daphne", ["--fd={fd}"], "of one"),
        (
            "gunicorn",
            ["--bind=fd://{fd}", "--worker-class=uvicorn_worker.UvicornWorker"],
            "of many",
        ),
    ],
    ids=lambda value: " ".join(value).format(fd=0) if isinstance(value, list) else value,
)
def test_the_application_is_told_of_one_process_where_that_shows(
    server: str, options: list[str], told: str
) -> None:
    require(missing(server, *(["uvicorn_worker"] if server == "gunicorn" else [])))

    def command(folder: Path, listener: socket.socket) -> list[str]:
        (folder / "site_of_user.py").write_text(_PROCESSES)
        fd = listener.fileno()
        return python(server, *(option.format(fd=fd) for option in options), "gatebridge.auto:asgi")

    with run_server(command, GATEBRIDGE_APP="site_of_user:app") as running:
        assert httpx.get(running.url, timeout=HANG, trust_env=False).text == told
