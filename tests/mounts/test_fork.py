"""Mounts in a forked child: as if the parent had never used them."""

from __future__ import annotations

import os

import pytest

from asgi_on_wsgi.scripts import run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.mark.clause("A-LIFE-09", "A-LIFE-12")
def test_a_lifespan_in_a_forked_child_ends_there() -> None:
    """That of the parent goes on, and does not count in the child."""
    run_script(
        """
        from gatebridge import AsgiMounts, AsgiToWsgi, WsgiMounts

        def part(environ, start_response):
            start_response("200 OK", [])
            return [b"ok"]

        adapter = AsgiToWsgi(AsgiMounts(WsgiMounts(part, {"/x": living(life)}), {}))
        serve(adapter)
        pid = os.fork()
        if pid:
            wait_for(pid)
        serve(adapter)
        adapter.close()
        say("closed")
        """,
        ("asyncio", {}),
        says=[
            *("startup", "ok"),
            *("child: startup", "child: ok", "child: shutdown", "child: cleanup", "child: closed"),
            *("status 0", "ok", "shutdown", "cleanup", "closed"),
        ],
    )
