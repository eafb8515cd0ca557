"""A configuration of Gunicorn that patches the process before it loads an application."""

from __future__ import annotations

import gevent.monkey  # type: ignore[import-untyped, unused-ignore]

gevent.monkey.patch_all()
