"""What is public: the modules, the names in them, and the members of those."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import textwrap
from collections.abc import Iterator
from functools import cache
from types import FunctionType, GenericAlias, ModuleType
from typing import Any
from unittest.mock import patch

import typing_extensions

MODULES = (
    "gatebridge",
    "gatebridge.auto",
    "gatebridge.checks",
    "gatebridge.compat",
    "gatebridge.errors",
    "gatebridge.integrations.django",
    "gatebridge.types",
)
# The special methods that callers are meant to know.
_SPECIAL = ("__aenter__", "__aexit__", "__call__", "__enter__", "__exit__", "__iter__")


@cache
def module(name: str) -> ModuleType:
    """Import a public module; the one that makes an application is given one."""
    with patch.dict(os.environ, {"GATEBRIDGE_APP": "wsgiref.simple_server:demo_app"}):
        return importlib.import_module(name)


def public_values() -> Iterator[tuple[str, Any]]:
    """Yield the full name and the value of everything that some ``__all__`` names."""
    for name in MODULES:
        for each in sorted(module(name).__all__):
            yield f"{name}.{each}", getattr(module(name), each)


def is_class(value: Any) -> bool:
    """Say whether it is a class; before Python 3.11, `inspect.isclass` is true of aliases too."""
    return inspect.isclass(value) and not isinstance(value, GenericAlias)


def public_functions() -> Iterator[tuple[str, FunctionType, type | None]]:
    """Yield the functions and methods: full name, function, and the class that has it."""
    for name, value in public_values():
        if is_class(value):
            for member, function in methods(value):
                yield f"{name}.{member}", function, value
        elif inspect.isfunction(value) and value.__module__.startswith("gatebridge"):
            yield name, value, None


def methods(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the public methods that a class itself defines, and the functions of its properties."""
    for name, value in vars(cls).items():
        if name.startswith("_") and name not in _SPECIAL:
            continue
        function = value.fget if isinstance(value, property) else value
        if inspect.isfunction(function):
            yield name, function


def init_of(cls: type) -> FunctionType | None:
    """Return the ``__init__`` that a call of the class runs, if it is one of this library's."""
    if typing_extensions.is_protocol(cls) or typing_extensions.is_typeddict(cls):
        return None
    init = cls.__init__
    return init if inspect.isfunction(init) and init.__module__.startswith("gatebridge") else None


def fields(cls: type) -> dict[str, str]:
    """Return the fields of a NamedTuple or TypedDict, with their types as they are written."""
    annotations = inspect.get_annotations(cls)
    if not (typing_extensions.is_typeddict(cls) or hasattr(cls, "_fields")):
        return {}
    return {
        name: getattr(value, "__forward_arg__", None) or inspect.formatannotation(value)
        for name, value in annotations.items()
    }


def attributes(cls: type) -> list[str]:
    """Return the public attributes that a class gives its instances, beside those of built-ins."""
    init = vars(cls).get("__init__")
    if not inspect.isfunction(init) or init_of(cls) is None:
        return [] if fields(cls) else list(inspect.get_annotations(cls))
    tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    foreign = [base for base in cls.__mro__ if not base.__module__.startswith("gatebridge")]
    return sorted(
        {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and not node.attr.startswith("_")
            and not any(hasattr(base, node.attr) for base in foreign)
        }
    )


@cache
def variables(name: str) -> dict[str, tuple[str, str | None]]:
    """Return the annotated variables of a module: their types as written, their docstrings.

    Of an alias the type is what it stands for.
    """
    body = ast.parse(inspect.getsource(module(name))).body
    found: dict[str, tuple[str, str | None]] = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        is_alias = ast.unparse(node.annotation) == "TypeAlias"
        said = node.value if is_alias and node.value else node.annotation
        doc = after.value if isinstance(after, ast.Expr) else None
        text = doc.value if isinstance(doc, ast.Constant) and isinstance(doc.value, str) else None
        found[node.target.id] = ast.unparse(said), text
    return found
