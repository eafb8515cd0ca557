"""The code blocks of a Markdown page, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->\s*")
_LOG = re.compile(r"<!-- the server's log(, after Ctrl-C)? -->\s*")
_FILE_NAME = re.compile(r"(?:#|//|;) ([\w./-]+\.\w+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        language: What its fence says: ``"python"``, ``"sh"``.
        text: What is in it.
        line: Where it begins in the page, from 1.
        not_run: Why it is not run, from the comment ``<!-- not run: WHY -->`` before it.
        answers: Whether nothing stands between it and the block before.
        log: Whether it is in the log of the server that runs, from the comment
            ``<!-- the server's log -->`` before it.
        stop: Whether that is so after Ctrl-C: ``<!-- the server's log, after Ctrl-C -->``.
    """

    language: str
    text: str
    line: int
    not_run: str | None
    answers: bool
    log: bool
    stop: bool

    @property
    def file_name(self) -> str | None:
        """The name of the file that the block shows, from its first line: ``# shop.py``."""
        match = _FILE_NAME.fullmatch(self.text.partition("\n")[0])
        return match[1] if match else None


@cache
def blocks_of(page: Path) -> Sequence[Block]:
    """Return the code blocks of a page.

    Raises:
        ValueError: A block does not say what it is.
    """
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
    before: Token | None = None
    for token in tokens:
        if token.type not in ("fence", "code_block"):
            before = token
            continue
        assert token.map
        language = token.info.split(" ")[0]
        if language.startswith("{"):
            before = token  # a directive of Sphinx
            continue
        if not language:
            raise ValueError(f"{page}:{token.map[0] + 1}: a block of code that is of no language")
        comment = before.content if before else ""
        reason, log = _NOT_RUN.fullmatch(comment), _LOG.fullmatch(comment)
        answers = before is not None and before.type == "fence"
        yield Block(
            language,
            token.content,
            token.map[0] + 1,
            reason[1] if reason else None,
            answers,
            log=log is not None,
            stop=log is not None and log[1] is not None,
        )
        before = token
