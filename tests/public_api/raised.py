"""Which of this library's errors a function can raise, read from the source.

Followed are calls of functions, classes and methods of ``self`` by their names. What is raised
behind a callable that somebody passed, or by a method of another object, is not seen.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any, get_type_hints

from gatebridge.errors import GatebridgeError

Errors = frozenset[type[GatebridgeError]]


@cache
def raised_by(function: FunctionType, cls: type | None) -> Errors:
    """Return the errors that a function, a method if there is a class, raises or lets through."""
    return _Reader(function, cls, ()).errors()


class _Reader:
    def __init__(
        self, function: FunctionType, cls: type | None, callers: tuple[FunctionType, ...]
    ) -> None:
        self._cls = cls
        self._callers = (*callers, function)
        self._names = vars(builtins) | function.__globals__
        self._tree = ast.parse(textwrap.dedent(inspect.getsource(function)))

    def errors(self) -> Errors:
        return frozenset(self._in(self._tree))

    def _in(self, node: ast.AST) -> Iterator[type[GatebridgeError]]:
        if isinstance(node, ast.Try):
            caught = tuple(self._caught(node.handlers))
            for each in node.body:
                yield from (error for error in self._in(each) if not issubclass(error, caught))
            for rest in (*node.handlers, *node.orelse, *node.finalbody):
                yield from self._in(rest)
            return
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield from self._raised(node.exc)
        elif isinstance(node, ast.Call):
            yield from self._called(node.func)
        for child in ast.iter_child_nodes(node):
            yield from self._in(child)

    def _caught(self, handlers: list[ast.ExceptHandler]) -> Iterator[type]:
        """Yield what handlers catch and do not raise again."""
        for handler in handlers:
            if any(isinstance(each, ast.Raise) and not each.exc for each in ast.walk(handler)):
                continue
            types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            for each in types:
                found = self._find(each) if each else BaseException
                if inspect.isclass(found):
                    yield found

    def _raised(self, node: ast.expr) -> Iterator[type[GatebridgeError]]:
        found = self._find(node.func if isinstance(node, ast.Call) else node)
        if inspect.isfunction(found):  # that makes the error
            found = get_type_hints(found).get("return")
        if inspect.isclass(found) and issubclass(found, GatebridgeError):
            yield found

    def _called(self, node: ast.expr) -> Iterator[type[GatebridgeError]]:
        found: Any = inspect.unwrap(self._find(node)) if self._find(node) else None
        cls = self._cls
        if inspect.isclass(found) and not issubclass(found, BaseException):
            cls, found = found, found.__init__
        elif not isinstance(node, ast.Attribute):
            cls = None
        if not inspect.isfunction(found) or not found.__module__.startswith("gatebridge"):
            return
        if found not in self._callers:
            yield from _Reader(found, cls, self._callers).errors()

    def _find(self, node: ast.expr) -> Any:
        """Return what an expression names, as far as it can be told."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return getattr(self._cls, node.attr, None)
        if isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()":
            return getattr(super(self._cls, self._cls), node.attr, None)  # type: ignore[arg-type]
        return getattr(self._find(node.value), node.attr, None)
