"""Every block of code of every page: files are written, commands typed in, answers compared.

A block whose first line names a file (``# shop.py``) is that file. ``sh`` is typed in, in the order
of the page; a server that it starts runs until the next one, and nginx before it. ``python``
without a file's name is run, all of a page in one interpreter. ``text`` right below one of them is
what it has printed, with ``...`` for what differs. Below ``<!-- the server's log -->`` it is in the
log of the server that runs, and below ``<!-- the server's log, after Ctrl-C -->`` in that of the
server that was stopped. What cannot be run says why: ``<!-- not run: WHY -->``.

pytest by itself takes the README and the tutorials; ``--all-pages`` takes every page.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pages.blocks import blocks_of
from pages.session import ROOT, Session, lacking
from servers.hosts import lacks_nginx
from servers.needs import require

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the commands are for a POSIX shell"
)

DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *(page for page in sorted(DOCS.rglob("*.md")) if DOCS / "spec" not in page.parents),
]
RUN = {"python", "sh"}
KNOWN = RUN | {"text", "html", "javascript", "json", "nginx", "apache", "ini", "toml", "yaml"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Type in what everybody reads first, or all pages that can be typed in."""
    if metafunc.function is test_what_a_page_says_works_as_it_stands:
        every = metafunc.config.getoption("all_pages")
        pages = [
            page
            for page in PAGES
            if (every or page.parent in (ROOT, DOCS, DOCS / "tutorials"))
            and any(block.language in RUN for block in blocks_of(page))
        ]
        metafunc.parametrize("page", pages, ids=name)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks_of(page)} <= KNOWN


def test_what_a_page_says_works_as_it_stands(page: Path, tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(page) if block.not_run is None]
    if any(block.language == "sh" and "curl" in block.text for block in blocks):
        require(None if shutil.which("curl") else "curl is not installed")
    if any(block.language == "nginx" for block in blocks):
        require(lacks_nginx())
    require(*(lacking(block.text) for block in blocks if block.language == "sh"))
    with Session(tmp_path) as session:
        for block in blocks:
            with _at(f"{name(page)}:{block.line}"):
                session.type_in(block)


def test_curl_shows_no_progress_on_a_terminal() -> None:
    """Where the body goes into a file, curl shows its progress, unless told not to."""
    commands = [
        command
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "sh"
        for command in block.text.replace("\\\n", "").splitlines()
    ]
    saving = [command for command in commands if re.search(r"\bcurl\b.* (-o|--output)\b", command)]
    assert saving
    assert [command for command in saving if not re.search(r" (-s|--silent)", command)] == []


def test_no_two_pages_make_the_same_folder() -> None:
    """All pages are typed in in one checkout, where the second mkdir would fail."""
    folders = []
    for page in PAGES:
        text = "".join(block.text for block in blocks_of(page) if block.language == "sh")
        # What a page makes after its first folder is within that one.
        if made := re.search(r"(?m)^(?:mkdir|django-admin startproject) (\w[\w-]*)$", text):
            folders.append(made[1])
    assert len(folders) > 1
    assert sorted(folders) == sorted(set(folders))


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Let a failure say where in the page it is."""
    try:
        yield
    except AssertionError as error:
        pytest.fail(f"{where}: {error}", pytrace=False)
