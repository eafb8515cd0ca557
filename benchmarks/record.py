"""What was measured, as a file: reports and charts are made of it, at once or later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.report import Cell, Section


@dataclass(frozen=True)
class Record:
    """A run in one direction.

    Attributes:
        command: What measured it.
        quick: Whether it was a run that shows no more than that all works.
        sections: What was measured, by the name of its part.
        versions: Of all that took part.
    """

    command: str
    quick: bool
    sections: Mapping[str, Section]
    versions: Mapping[str, str]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Record:
        fields = json.loads(path.read_text("utf-8"))
        sections = {}
        for part, section in fields["sections"].items():
            rows = {
                row: {name: Cell(**cell) for name, cell in cells.items()}
                for row, cells in section["rows"].items()
            }
            sections[part] = Section(**section | {"rows": rows})
        return cls(**fields | {"sections": sections})
