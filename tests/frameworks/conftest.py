"""What holds at the end of every test here, as of those in ``wsgi_to_asgi``."""

from __future__ import annotations

from wsgi_to_asgi.conftest import nothing_is_left

__all__ = ["nothing_is_left"]
