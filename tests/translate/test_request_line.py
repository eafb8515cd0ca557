"""What a log says of a request: whatever a client puts into it, it is one line, and short."""

from __future__ import annotations

import pytest

from gatebridge._translate.text import request_line


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        ("GET", "/a b", "GET '/a b'"),
        ("websocket", "/chat", "websocket '/chat'"),
        ("GET", "/a\nERROR forged", r"GET '/a\nERROR forged'"),
        ("GET\x1b[2J", "/", r"'GET\x1b[2J' '/'"),
        ("GET\nERROR", "/", r"'GET\nERROR' '/'"),
        (None, None, "None None"),
        (b"GET", b"/", "b'GET' b'/'"),
    ],
)
def test_it_is_one_line(method: object, path: object, line: str) -> None:
    assert request_line(method, path) == line


def test_it_is_short() -> None:
    assert len(request_line("G" * 5000, "/" * 5000)) <= 300
