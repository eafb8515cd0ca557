"""A process that probes one contender, row by row: ``python -m peers.child TABLE COLUMN``.

Each probe has a process of its own, forked from this one, and ends with ``os._exit``: what an
adapter leaves behind, which may be threads that wait for ever, ends with it. Each outcome is a line
on standard output, row and outcome in JSON.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from importlib.util import find_spec
from typing import NoReturn

import anyio
import anyio.lowlevel

from peers import asgi_on_wsgi, contenders, wsgi_on_asgi
from peers.contenders import Contender
from peers.tables import ASGI_ON_WSGI, WSGI_ON_ASGI, table
from peers.trial import HANG, Probe, Probes

CONTENDERS = {WSGI_ON_ASGI: contenders.WSGI_ON_ASGI, ASGI_ON_WSGI: contenders.ASGI_ON_WSGI}
PROBES: dict[str, Probes] = {
    WSGI_ON_ASGI: wsgi_on_asgi.PROBES,
    ASGI_ON_WSGI: asgi_on_wsgi.PROBES,
}


def main(title: str, column: str) -> None:
    contender = CONTENDERS[title][column]
    # So that not each of the processes has to import it.
    contender.load()
    for backend in ("asyncio", "trio"):
        if find_spec(backend):
            anyio.run(anyio.lowlevel.checkpoint, backend=backend)
    rows = table(title).rows
    for label, probe in PROBES[title].items():
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(3 * HANG, exit=True)
            expected = rows.get(label, {}).get(column, "no")
            try:
                run(title, label, probe, contender, expected)
            except BaseException:  # noqa: BLE001 - shown instead of an outcome
                report(label, traceback.format_exc())
        os.waitpid(pid, 0)


def run(title: str, label: str, probe: Probe, contender: Contender, expected: str) -> NoReturn:
    """Run a probe, and end the process."""

    async def on_loop() -> NoReturn:
        async with anyio.create_task_group() as group:
            trial = wsgi_on_asgi.WsgiOnAsgi(contender, expected, group)
            try:
                report(label, await probe(trial))
            except BaseException:  # noqa: BLE001 - now, and not when all tasks have ended
                report(label, traceback.format_exc())

    if title == ASGI_ON_WSGI:
        report(label, probe(asgi_on_wsgi.AsgiOnWsgi(contender, expected)))
    anyio.run(on_loop, backend="trio" if label == wsgi_on_asgi.ON_TRIO else "asyncio")
    raise AssertionError


def report(label: str, outcome: str) -> NoReturn:
    os.write(1, json.dumps([label, outcome]).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
