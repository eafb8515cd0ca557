"""What every public docstring has to say: parameters, units, errors, attributes, the source."""

from __future__ import annotations

import builtins
import inspect
import re
import sys
from collections.abc import Iterable
from types import FunctionType
from typing import Any

import pytest
import typing_extensions
from tests.public_api.names import (
    MODULES,
    attributes,
    fields,
    init_of,
    is_class,
    module,
    public_functions,
    public_values,
    variables,
)
from tests.public_api.raised import raised_by

from gatebridge import errors

# What these have is of no specification.
_OWN_MODULES = ("gatebridge.auto", "gatebridge.checks", "gatebridge.errors")
_OWN = {
    "gatebridge.PoolStatistics",
    "gatebridge.integrations.django.request_of",
    "gatebridge.types.DisconnectFlag",
}
# What can be raised as far as the source tells, but never comes to the caller: the server is told.
_NOT_RAISED = {("gatebridge.AsgiMounts.__call__", errors.LifespanError)}

_SECTION = re.compile(r"(?m)^(Args|Attributes|Raises):\n((?:(?: +.*)?\n)+)")
_ENTRY = re.compile(r"(?m)^    (\w+): (.*\n(?: {8}.*\n)*)")

_CLASSES = [(name, value) for name, value in public_values() if is_class(value)]
_FUNCTIONS = list(public_functions())


def doc(value: Any) -> str:
    return f"{inspect.cleandoc(value.__doc__ or '')}\n"


def entries(values: Iterable[Any], *sections: str) -> dict[str, str]:
    """Return the entries of sections of docstrings, names and texts; of several the first."""
    return {
        entry: text
        for value in reversed([*values])
        for section, body in _SECTION.findall(doc(value))
        if section in sections
        for entry, text in _ENTRY.findall(body)
    }


def parameters() -> Iterable[tuple[str, str, str | None]]:
    """Yield each parameter of all calls: whose it is, its name, and what is said of it."""
    calls: list[tuple[str, FunctionType, Iterable[Any]]] = [
        *((name, function, [function]) for name, function, _ in _FUNCTIONS),
        *((name, init, cls.__mro__) for name, cls in _CLASSES if (init := init_of(cls))),
    ]
    for name, function, places in calls:
        if name.endswith("__"):
            continue  # the specifications say, and the language
        said = entries(places, "Attributes") | entries(places, "Args")
        for parameter in inspect.signature(function).parameters:
            if name.startswith("gatebridge.types."):  # methods of protocols: as a whole
                yield name, parameter, doc(function)
            elif parameter != "self":
                yield name, parameter, said.get(parameter)


@pytest.mark.parametrize(("name", "value"), _CLASSES, ids=[name for name, _ in _CLASSES])
def test_a_class_has_a_docstring(name: str, value: Any) -> None:
    assert (vars(value)["__doc__"] or "").strip()


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, function) for name, function, _ in _FUNCTIONS],
    ids=[name for name, _, _ in _FUNCTIONS],
)
def test_a_function_has_a_docstring(name: str, function: FunctionType) -> None:
    assert (function.__doc__ or "").strip()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_its_variables_have_docstrings(name: str) -> None:
    assert (module(name).__doc__ or "").strip()
    offered = set(module(name).__all__)
    docs = {each: text for each, (_, text) in variables(name).items() if each in offered}
    assert [each for each, text in docs.items() if not text] == []


def test_every_parameter_is_described() -> None:
    assert [f"{name}: {parameter}" for name, parameter, said in parameters() if not said] == []


def test_a_time_is_given_in_seconds_and_a_size_in_bytes() -> None:
    without = []
    for name, parameter, said in parameters():
        if "timeout" in parameter or parameter == "wait_time":
            unit = "second"
        elif re.fullmatch(r"\w+_bytes|max_\w+_size|size|hint", parameter):
            unit = "bytes"
        else:
            continue
        if unit not in (said or ""):
            without.append(f"{name}: {parameter}: no {unit}")
    assert without == []


@pytest.mark.parametrize(("name", "cls"), _CLASSES, ids=[name for name, _ in _CLASSES])
def test_every_attribute_is_described(name: str, cls: Any) -> None:
    own = attributes(cls)
    if not typing_extensions.is_typeddict(cls):  # whose keys the specifications describe
        own = [*own, *fields(cls)]
    said = entries(cls.__mro__, "Attributes")
    assert [each for each in own if each not in said] == []


@pytest.mark.parametrize(
    ("name", "function", "cls"), _FUNCTIONS, ids=[name for name, _, _ in _FUNCTIONS]
)
def test_every_error_of_the_library_is_described(
    name: str, function: FunctionType, cls: type | None
) -> None:
    places = [vars(base).get(function.__name__) for base in cls.__mro__] if cls else [function]
    if cls and (same := re.match(r"(?:Do as|Like) `(\w+)`\.", doc(function))):
        places = [getattr(cls, same[1])]
    said = {getattr(errors, each, None) for each in entries(places, "Raises")}
    raised = {each for each in raised_by(function, cls) if (name, each) not in _NOT_RAISED}
    assert {each.__name__ for each in raised - said} == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [*_CLASSES, *((name, function) for name, function, _ in _FUNCTIONS)],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_errors_that_are_described_exist(name: str, value: Any) -> None:
    names = vars(builtins) | vars(errors) | vars(sys.modules[value.__module__])
    for each in entries([value], "Raises"):
        assert issubclass(names[each], Exception)


def test_the_source_is_named_where_there_is_one() -> None:
    """The listed exceptions have none, and the list is not longer than it has to be."""
    without = {
        name
        for name, value in public_values()
        if (is_class(value) or inspect.isfunction(value))
        and not name.startswith(_OWN_MODULES)
        and not re.search(r"(?m)^Source: \S", doc(value))
    }
    assert without == _OWN
