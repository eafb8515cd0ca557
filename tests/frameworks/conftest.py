"""What holds at the end of every test here, as of those of each adapter's folder."""

from __future__ import annotations

from asgi_on_wsgi.conftest import adapt
from asgi_on_wsgi.conftest import nothing_is_left as nothing_of_asgi_is_left
from wsgi_on_asgi.conftest import nothing_is_left

__all__ = ["adapt", "nothing_is_left", "nothing_of_asgi_is_left"]
