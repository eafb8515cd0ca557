"""How the public names present themselves: where they are from, and what an object is."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import sys
from typing import Any, get_type_hints

import pytest

import gatebridge
from gatebridge import (
    AsgiMounts,
    AsgiToWsgi,
    LifespanManager,
    LifespanShim,
    PoolStatistics,
    WsgiMounts,
    WsgiToAsgi,
    compat,
)

PUBLIC = [value for name in gatebridge.__all__ if callable(value := getattr(gatebridge, name))]
CLASSES = [each for each in PUBLIC if isinstance(each, type)]
FUNCTIONS = [each for each in PUBLIC if not isinstance(each, type)]


def name_of(value: Any) -> str:
    return value.__name__


class App:
    def __repr__(self) -> str:
        return "<the app>"


class Wsgi(App):
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Asgi(App):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("value", PUBLIC, ids=name_of)
def test_a_name_says_where_to_import_it_from(value: Any) -> None:
    assert value.__module__ == "gatebridge"
    assert pickle.loads(pickle.dumps(value)) is value
    title = pydoc.render_doc(value, renderer=pydoc.plaintext).splitlines()[0]  # type: ignore[attr-defined]
    assert title.endswith(f"{value.__name__} in module gatebridge")


def test_an_object_is_pickled_by_its_public_name() -> None:
    numbers = PoolStatistics(threads=1, running=2, stalled=3, waiting=4)
    data = pickle.dumps(numbers)
    assert b"_concurrency" not in data
    assert pickle.loads(data) == numbers


@pytest.mark.parametrize("value", FUNCTIONS, ids=name_of)
def test_the_source_and_the_types_of_a_function_are_found(value: Any) -> None:
    assert f"def {value.__name__}" in inspect.getsource(value)
    assert "return" in get_type_hints(value)


@pytest.mark.parametrize("cls", CLASSES, ids=name_of)
def test_the_source_of_a_class_is_not_taken_from_the_wrong_file(cls: type) -> None:
    """It is in another module than the class names; that of its methods is found."""
    with pytest.raises(OSError):  # noqa: PT011 - the words differ between versions
        inspect.getsource(cls)
    if inspect.isfunction(init := vars(cls).get("__init__")):
        assert "def __init__" in inspect.getsource(init)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            WsgiToAsgi(Wsgi(), threads=4, max_threads=8, max_queue=16),
            "WsgiToAsgi(<the app>, threads=4, max_threads=8, max_queue=16, max_body_size=None)",
        ),
        (
            compat.WSGIMiddleware(Wsgi()),
            (
                "WSGIMiddleware(<the app>, threads=10, max_threads=2010, max_queue=None, "
                "max_body_size=None)"
            ),
        ),
        (
            AsgiToWsgi(Asgi(), lifespan="on", response_timeout=5.5, max_body_size=10),
            (
                "AsgiToWsgi(<the app>, backend='asyncio', lifespan='on', response_timeout=5.5, "
                "max_body_size=10)"
            ),
        ),
        (AsgiMounts(Asgi(), {"api/": Asgi()}), "AsgiMounts(<the app>, {'/api': <the app>})"),
        (WsgiMounts(Wsgi(), {"api/": Wsgi()}), "WsgiMounts(<the app>, {'/api': <the app>})"),
        (LifespanShim(Asgi()), "LifespanShim(<the app>, None)"),
        (
            LifespanManager(Asgi(), startup_timeout=1),
            "LifespanManager(<the app>, startup_timeout=1, shutdown_timeout=30.0)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_object_shows_its_application_and_its_numbers(value: Any, text: str) -> None:
    assert repr(value) == text


@pytest.mark.parametrize("cls", [WsgiToAsgi, AsgiToWsgi])
def test_an_adapter_is_explained_by_an_example_first(cls: type) -> None:
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    example = lines[lines.index("") + 1 :][:6]
    assert example[0].endswith("::")
    assert example[2] == f"    from gatebridge import {cls.__name__}"
    assert example[3].startswith(f"    app = {cls.__name__}(")


def test_the_package_has_no_names_left_from_its_making() -> None:
    names = {name for name in vars(gatebridge) if not name.startswith("__")}
    modules = {name for name in names if f"gatebridge.{name}" in sys.modules}
    assert names - modules <= set(gatebridge.__all__)
