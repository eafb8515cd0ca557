"""Whether every public name is on a page of the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.public_api.names import MODULES, module

_PAGES = Path(__file__).parents[2] / "docs" / "reference"
_DIRECTIVE = re.compile(r"(?m)^\.\. auto(module|class|function|data):: ([\w.]+)\n((?:   :.*\n)*)")


def described() -> Iterator[str]:
    """Yield what the pages have autodoc describe."""
    for page in sorted(_PAGES.glob("*.md")):
        for kind, name, options in _DIRECTIVE.findall(page.read_text("utf-8")):
            yield name
            members = re.search(r"(?m)^   :members:(.*)$", options)
            if kind == "module" and members:
                for each in members[1].replace(",", " ").split() or module(name).__all__:
                    yield f"{name}.{each}"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_described_once(name: str) -> None:
    found = list(described())
    names = {f"{name}.{each}" for each in module(name).__all__} - {"gatebridge.__version__"}
    assert {each: found.count(each) for each in names} == dict.fromkeys(names, 1)
