"""The listing of all that is public, with signatures: public_api.txt, which this writes anew.

.venv/bin/python -m tests.public_api.listing
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Literal, get_args, get_origin

import typing_extensions
from tests.public_api.names import attributes, fields, init_of, methods, public_values, variables

LISTING = Path(__file__).with_name("public_api.txt")

_WIDTH = 100


def listing() -> Iterator[str]:
    """Yield all public names, members, fields and attributes, line by line."""
    for name, value in public_values():
        parent, _, own = name.rpartition(".")
        if own in variables(parent):
            yield from _wrapped(f"{name}: {variables(parent)[own][0]}")
        elif inspect.isclass(value):
            yield from _wrapped(f"{name}: {_kind(value)}")
            for line in sorted(_members(value)):
                yield from _wrapped(f"{name}.{line}")
        elif inspect.isfunction(value):
            yield from _wrapped(f"{name}: {_signature(value)}")
        else:
            yield f"{name}: {type(value).__name__}"


def _kind(cls: Any) -> str:
    """Return what a class is: of which classes, and how it is called."""
    if typing_extensions.is_typeddict(cls):
        return "TypedDict"
    if typing_extensions.is_protocol(cls):
        return "Protocol"
    if fields(cls):
        return "NamedTuple"
    public = {id(value): name for name, value in public_values()}
    bases = [
        public.get(id(base), base.__qualname__) for base in cls.__bases__ if base is not object
    ]
    init = init_of(cls)
    signature = _signature(init).removesuffix(" -> None") if init else ""
    below = f" of {', '.join(bases)}" if bases else ""
    return f"class{below} {signature}".rstrip()


def _members(cls: Any) -> Iterator[str]:
    for name, function in methods(cls):
        found = vars(cls)[name]
        if isinstance(found, property):
            returned = _signature(function).rpartition(" -> ")[2]
            yield f"{name}: property{', writable' if found.fset else ''} -> {returned}"
        else:
            yield f"{name}: {_signature(function)}"
    for name, type_ in fields(cls).items():
        yield f"{name}: {type_}"
    for name in attributes(cls):
        yield f"{name}: attribute"


class _AsWritten(str):
    """An annotation that is shown as it stands in the source."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _signature(function: FunctionType) -> str:
    def as_written(annotation: Any) -> Any:
        if not isinstance(annotation, str):
            return annotation
        # The words of a Literal are a part of the interface, whatever its name.
        return _AsWritten(
            re.sub(r"\w+", lambda name: _literal(name[0], function.__globals__), annotation)
        )

    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=as_written(parameter.annotation))
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    returned = as_written(signature.return_annotation)
    text = str(signature.replace(parameters=parameters, return_annotation=returned))
    text = text.replace("= Ellipsis", "= ...")
    return f"{'async ' if inspect.iscoroutinefunction(function) else ''}{text}"


def _literal(name: str, namespace: dict[str, Any]) -> str:
    value = namespace.get(name)
    return f"Literal{list(get_args(value))!r}" if get_origin(value) is Literal else name


def _wrapped(line: str) -> Iterator[str]:
    """Yield a long line in parts: a parameter, or an alternative of a union, on each."""
    if len(line) <= _WIDTH:
        yield line
        return
    depth = 0
    part = ""
    for char in line:
        part += char
        depth += (char in "([") - (char in ")]")
        if (depth == 1 and char in "(,") or (depth == 0 and char == "|"):
            yield part.rstrip() if part[0] != " " else f"    {part.strip()}"
            part = " "
        elif depth == 0 and char == ")":
            yield f"    {part[:-1].strip()},"
            part = ")"
    yield part if part[0] == ")" else f"    {part.strip()}"


if __name__ == "__main__":
    LISTING.write_text("".join(f"{line}\n" for line in listing()), "utf-8")
