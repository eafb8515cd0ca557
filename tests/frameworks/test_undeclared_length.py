"""Which frameworks read a body that came without Content-Length, from a server that ends it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest


def read_by_bottle(environ: dict[str, Any]) -> bytes:
    return pytest.importorskip("bottle").BaseRequest(environ).body.read()


def read_by_django(environ: dict[str, Any]) -> bytes:
    pytest.importorskip("django")
    from django.core.handlers.wsgi import WSGIRequest

    from frameworks import django_site  # noqa: F401 - configures Django

    return WSGIRequest(environ).read()


def read_by_falcon(environ: dict[str, Any]) -> bytes:
    return pytest.importorskip("falcon").Request(environ).stream.read()


def read_by_flask(environ: dict[str, Any]) -> bytes:
    return pytest.importorskip("flask").Request(environ).stream.read()


def read_by_pyramid(environ: dict[str, Any]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports cgi and pkg_resources
        request = pytest.importorskip("pyramid.request").Request(environ)
    return request.body_file.read()


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (read_by_bottle, b""),
        (read_by_django, b""),
        (read_by_falcon, b"body"),
        (read_by_flask, b"body"),
        (read_by_pyramid, b"body"),
    ],
)
def test_what_a_framework_reads_without_a_length(
    read: Callable[[dict[str, Any]], bytes], expected: bytes
) -> None:
    """D-13 rests on it: a length is told where the first message is the whole body."""
    for length, content in ({}, expected), ({"CONTENT_LENGTH": "4"}, b"body"):
        environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(b"body"), **length}
        setup_testing_defaults(environ)
        assert read({**environ, "wsgi.input_terminated": True}) == content
