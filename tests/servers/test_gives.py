"""What each server offers, as docs/reference/compatibility.md has it."""

from __future__ import annotations

import httpx
import pytest

from servers.kinds import ASGI_SERVERS, PLAIN, WSGI_SERVERS, Kind, lacks
from servers.needs import require
from servers.processes import HANG, run_server, wait_until_it_listens


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(pytest.param(kind, "wsgi", id=name) for name, kind in ASGI_SERVERS.items()),
        *(pytest.param(kind, "asgi", id=name) for name, kind in WSGI_SERVERS.items()),
    ],
)
def test_a_server_gives_what_the_table_says(kind: Kind, name: str) -> None:
    require(lacks(kind, PLAIN))
    application = f"servers.sites.probe:{name}"
    with run_server(kind.command, listen=kind.inherits, GATEBRIDGE_APP=application) as server:
        wait_until_it_listens(server)
        with httpx.Client(
            http1=not kind.http2, http2=kind.http2, timeout=HANG, trust_env=False
        ) as client:
            assert sorted(client.get(server.url).json()) == sorted(kind.gives)
