"""The demo shows what came back, ends, and its status says whether all of it was right."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

for name in ("fastapi", "flask", "httpx", "rich", "uvicorn"):
    pytest.importorskip(name)

EXAMPLES = Path(__file__).parents[2] / "examples"

NOT_STARTING = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "not today"})
"""


def run_demo(examples: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, examples / "demo.py"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={"COLUMNS": "120", "PATH": ""},
    )


def named_wrong(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the method and the path of each row that the table calls wrong."""
    return re.findall(r"^│ (\w+ [^\s,]+).*WRONG", done.stdout, re.MULTILINE)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """The examples in a folder of their own, to be broken."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))


def break_app(examples: Path, old: str, new: str, name: str = "flask_app.py") -> None:
    path = examples / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_the_demo_shows_every_answer_and_ends_with_status_0() -> None:
    done = run_demo(EXAMPLES)

    assert done.returncode == 0, done.stdout + done.stderr
    for row in ("GET / ", "POST /upload", "GET /download", "GET /no-such-page", "GET /events"):
        assert row in done.stdout
    assert done.stdout.count("right │") == 10
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("flask", "fastapi", "wrong"),
    [
        (
            ("Good morning", "Good night"),
            ("data: {number}", "data: {-number}"),
            ["GET /", "GET /events"],
        ),
        (
            ("size += len(block)", "size += 1"),
            ("packed.append(name)", "packed.append(name * 2)"),
            ["POST /upload", "POST /carrier", "GET /"],
        ),
        (("range(count)", "range(count - 1)"), ("", ""), ["GET /download"]),
        (("in range(count)", "in iter(int, 1)"), ("", ""), ["GET /download"]),  # endless
    ],
)
def test_a_wrong_answer_is_named_and_ends_with_status_1(
    examples: Path, flask: tuple[str, str], fastapi: tuple[str, str], wrong: list[str]
) -> None:
    break_app(examples, *flask)
    break_app(examples, *fastapi, "fastapi_app.py")

    done = run_demo(examples)

    assert done.returncode == 1
    assert named_wrong(done) == wrong


def test_a_lifespan_that_does_not_end_is_status_1(examples: Path) -> None:
    break_app(examples, 'log.append("closed")', "", "fastapi_app.py")

    done = run_demo(examples)

    assert done.returncode == 1
    assert "the application's lifespan: ['opened']" in done.stderr


def test_a_broken_connection_is_named_below_the_answers_before_it(examples: Path) -> None:
    break_app(examples, "yield BLOCK", "yield BLOCK; raise EOFError")

    done = run_demo(examples)

    assert done.returncode == 1
    assert named_wrong(done) == ["GET /download"]
    assert done.stdout.count("right │") == 8


def test_a_server_that_does_not_start_keeps_nobody_waiting(examples: Path) -> None:
    (examples / "flask_on_uvicorn.py").write_text(NOT_STARTING, "utf-8")

    done = run_demo(examples)

    assert done.returncode == 1
    assert "not today" in done.stderr
    assert named_wrong(done) == ["GET /"]
    assert "Timeout" not in done.stdout
