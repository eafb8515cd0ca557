"""What the package offers."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import pytest

import gatebridge
from gatebridge import checks, compat, errors, types

_OFFERED = [
    "AsgiMounts",
    "AsgiToWsgi",
    "LifespanManager",
    "LifespanShim",
    "WsgiMounts",
    "WsgiToAsgi",
    "__version__",
    "environ_from_scope",
    "errors",
    "input_from_receive",
    "interface",
    "messages_from_input",
    "scope_from_environ",
    "to_asgi",
    "to_wsgi",
    "types",
]


def public_objects(module: ModuleType) -> dict[str, Any]:
    """Return the public classes and functions that a module defines."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def public_methods(cls: type) -> list[str]:
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod)))
    ]


def test_all_is_what_is_offered() -> None:
    assert sorted(gatebridge.__all__) == sorted(_OFFERED)


def test_no_class_or_function_is_public_but_not_offered() -> None:
    """Modules may be: each that was imported is an attribute of its package."""
    public = {name for name, each in vars(gatebridge).items() if not inspect.ismodule(each)}
    assert {name for name in public if not name.startswith("_")} <= set(_OFFERED)


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+(\.\d+)+((a|b|rc)\d+)?(\.(post|dev)\d+)?", gatebridge.__version__)


@pytest.mark.parametrize("name", [name for name in _OFFERED if name != "__version__"])
def test_every_name_has_a_docstring(name: str) -> None:
    assert (getattr(gatebridge, name).__doc__ or "").strip()


@pytest.mark.parametrize("name", [n for n in _OFFERED if inspect.isclass(getattr(gatebridge, n))])
def test_every_method_of_a_class_has_a_docstring(name: str) -> None:
    cls = getattr(gatebridge, name)
    methods = [*public_methods(cls), "__call__"]
    assert [each for each in methods if not (getattr(cls, each).__doc__ or "").strip()] == []


@pytest.mark.parametrize("module", [checks, compat, errors, types], ids=lambda m: m.__name__)
def test_every_class_and_function_has_a_docstring(module: ModuleType) -> None:
    objects = public_objects(module)
    assert objects
    assert [name for name, each in objects.items() if not (each.__doc__ or "").strip()] == []
