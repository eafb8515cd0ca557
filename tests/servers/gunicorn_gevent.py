"""A configuration of Gunicorn that patches the process before it loads an application."""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()
