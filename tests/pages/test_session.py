"""Whatever a page does wrong is a failure that says so, and nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pages import session as of_session
from pages.blocks import Block
from pages.session import ROOT, Session
from servers.processes import HANG

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX process groups")

STUBBORN = """\
# serve.py
import os, signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))):
    time.sleep(60)
"""
DEAF = """\
# serve.py
import time
time.sleep(60)
"""


def block(language: str, text: str, *, answers: bool = False) -> Block:
    return Block(language, text, 1, None, answers, log=False, stop=False)


def read_page(
    folder: Path, *blocks: tuple[str, str], before_the_end: Callable[[], None] = lambda: None
) -> None:
    with Session(folder) as session:
        for language, text in blocks:
            session.type_in(block(language, text))
        before_the_end()


class Holders:
    """The processes that have a named pipe open, which their shell opens before it starts them."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def close(self) -> None:
        os.close(self._descriptor)

    def assert_ended(self) -> None:
        assert select.select([self._descriptor], [], [], HANG)[0], "one still runs"
        assert os.read(self._descriptor, 1) == b""


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[Holders]:
    with contextlib.closing(Holders(tmp_path / "pipe")) as holders:
        yield holders


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(of_session, "HANG", 0.1)


def test_a_server_that_does_not_end_is_a_failure_and_is_ended(
    tmp_path: Path, holders: Holders, impatient: Callable[[], None]
) -> None:
    start = f"python serve.py 9>{holders.path}\n"
    with pytest.raises(subprocess.TimeoutExpired):
        read_page(tmp_path, ("python", STUBBORN), ("sh", start), before_the_end=impatient)
    holders.assert_ended()


def test_a_server_that_never_listens_is_a_failure_and_is_ended(
    tmp_path: Path, holders: Holders, impatient: Callable[[], None]
) -> None:
    impatient()
    start = f"python serve.py 9>{holders.path}\n"
    with pytest.raises(AssertionError, match="python serve"):
        read_page(tmp_path, ("python", DEAF), ("sh", start))
    holders.assert_ended()


def test_a_command_that_hangs_is_a_failure_and_is_ended(
    tmp_path: Path, holders: Holders, impatient: Callable[[], None]
) -> None:
    impatient()
    with pytest.raises(AssertionError, match="hangs"):
        read_page(tmp_path, ("sh", f"exec 9>{holders.path}\nsleep 60\n"))
    holders.assert_ended()


def test_what_a_command_leaves_in_the_background_is_ended(tmp_path: Path, holders: Holders) -> None:
    with Session(tmp_path) as session:
        session.type_in(block("sh", f"exec 9>{holders.path}\nsleep 60 >/dev/null 2>&1 &\n"))
        holders.assert_ended()


def test_python_that_hangs_is_a_failure_that_shows_where(
    tmp_path: Path, impatient: Callable[[], None]
) -> None:
    impatient()
    with pytest.raises(AssertionError, match='File "page", line 2'):
        read_page(tmp_path, ("python", "\nimport time; time.sleep(60)\n"))


def test_an_error_in_python_is_what_the_failure_says(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        read_page(tmp_path, ("python", "1 / 0\n"))


def test_a_file_of_the_checkout_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="checkout"):
        read_page(tmp_path, ("python", "# examples/flask_on_uvicorn.py\n"))
    assert (ROOT / "examples/flask_on_uvicorn.py").stat().st_size > 100


def test_an_answer_that_differs_is_a_failure(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        session.type_in(block("sh", "echo 'one two'\n"))
        session.type_in(block("text", "one ...\n", answers=True))
        with pytest.raises(AssertionError, match="two"):
            session.type_in(block("text", "one three\n", answers=True))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("up\n...\ndown", "up\ndown", True),
        ("up\n...\ndown", "up\nand\nabout\ndown", True),
        ("up\n...\ndown", "up and down", False),
        ("took 0.2... seconds", "took 0.231 seconds", True),
        ("took 0.2... seconds", "took 0.331 seconds", False),
        ("one", "one\ntwo", False),
    ],
)
def test_dots_on_a_page_stand_for_what_differs(
    tmp_path: Path, shown: str, printed: str, same: bool
) -> None:
    expectation = contextlib.nullcontext() if same else pytest.raises(AssertionError, match="not ")
    with Session(tmp_path) as session, expectation:
        session.type_in(block("python", f"print({printed!r})"))
        session.type_in(block("text", shown, answers=True))
