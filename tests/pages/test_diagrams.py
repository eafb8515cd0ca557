"""The diagrams of the documentation are those that their script draws."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

DIAGRAMS = Path(__file__).parents[2] / "docs/diagrams"


@pytest.mark.parametrize("path", sorted(DIAGRAMS.glob("*.svg")), ids=lambda path: path.name)
def test_a_diagram_is_drawn_anew_when_its_script_changes(path: Path) -> None:
    drawn = runpy.run_path(str(DIAGRAMS / "draw.py"))["files"]()

    assert path.read_text("utf-8") == drawn[path], "run python docs/diagrams/draw.py"
    assert ET.fromstring(drawn[path]).findtext("{http://www.w3.org/2000/svg}title")
