"""Nothing that is public comes, goes or changes unseen."""

from __future__ import annotations

import difflib
import inspect
import re

import pytest
from tests.public_api.listing import LISTING, listing
from tests.public_api.names import MODULES, module, variables

import gatebridge

_WHAT_TO_DO = """\
If this is meant, write it down:
    .venv/bin/python -m tests.public_api.listing
and tell users in CHANGELOG.md."""


def test_what_is_public_is_what_is_listed() -> None:
    was = LISTING.read_text("utf-8").splitlines()
    diff = list(difflib.unified_diff(was, list(listing()), LISTING.name, "the code", lineterm=""))
    if diff:
        pytest.fail("\n".join([*diff, "", _WHAT_TO_DO]), pytrace=False)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "gatebridge"])
def test_all_is_what_a_module_defines_without_underscore(name: str) -> None:
    defined = {
        each
        for each, value in vars(module(name)).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name
    }
    public = {each for each in defined | set(variables(name)) if not each.startswith("_")}
    assert sorted(module(name).__all__) == sorted(public)


def test_all_of_the_package_is_what_it_imports_without_underscore() -> None:
    """Modules may be there beside: each that was imported is an attribute of its package."""
    public = {each for each, value in vars(gatebridge).items() if not inspect.ismodule(value)}
    public = {each for each in public if not each.startswith("_")}
    assert sorted(gatebridge.__all__) == sorted(public | {"__version__", "errors", "types"})


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+(\.\d+)+((a|b|rc)\d+)?(\.(post|dev)\d+)?", gatebridge.__version__)
