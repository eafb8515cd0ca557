"""The ids of clauses that pages name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages.session import ROOT
from pages.test_pages import PAGES, name

_ID = re.compile(r"\b(?:[A-Z]+-)+\d{2}\b")
_KNOWN = set(_ID.findall((ROOT / "docs" / "spec" / "clauses.md").read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_clause_that_a_page_names_is_one(page: Path) -> None:
    assert set(_ID.findall(page.read_text("utf-8"))) <= _KNOWN
