"""Scopes for tests: a plain request, with whatever a test changes."""

from __future__ import annotations

from typing import Any

MISSING: Any = object()
"""As a value for `make_scope`: leave the key out."""


def make_scope(**changes: Any) -> dict[str, Any]:
    """Return the scope of ``GET /`` with ``changes``; ``raw_path`` follows ``path`` if ASCII."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.com")],
        "client": ("192.0.2.7", 50123),
        "server": ("192.0.2.1", 8000),
    }
    if "path" in changes and "raw_path" not in changes:
        scope["raw_path"] = changes["path"].encode("ascii")
    scope.update(changes)
    return {key: value for key, value in scope.items() if value is not MISSING}
