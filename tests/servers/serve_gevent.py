"""`servers.serve` in a process that gevent has patched."""

from __future__ import annotations

import gevent.monkey  # type: ignore[import-untyped, unused-ignore]

gevent.monkey.patch_all()

import runpy  # noqa: E402 - gevent comes first

runpy.run_module("servers.serve", run_name="__main__")
