"""The demo does what it shows, and ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_demo_shows_every_answer_and_ends_with_status_0() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={"COLUMNS": "120", "PATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for row in ("GET /", "POST /upload", "GET /download", "404"):
        assert row in done.stdout
    assert done.stdout.count("right") == 4
    assert done.stderr == ""
