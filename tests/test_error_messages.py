"""Every message of the library: it is on the page of messages, and in the style of the others.

The messages are read from the source: what is raised, logged, answered, found or printed. What is
put into a message is a placeholder there, ``{}``, and in italics on the page.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gatebridge import errors

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "gatebridge"
PAGE = ROOT / "docs" / "reference" / "error-messages.md"

OURS = {name for name, value in vars(errors).items() if isinstance(value, type)}
OTHERS = {"ArgumentTypeError", "ConnectionError", "RuntimeError", "TypeError", "ValueError"}
LEVELS = {"critical", "debug", "error", "exception", "info", "warning"}
ANSWERS = {"send_refusal": 3, "plain_response": 1}  # functions, and which argument is the text
REPORTS = {"Finding", "Obstacle"}
EXPLANATIONS = {  # decorators of `_wrong_server`
    "for_asgi_servers": "for ASGI servers",
    "for_wsgi_servers": "for WSGI servers",
}

# The name under which a function is handed the class of its errors.
GIVEN = {
    "error": ("RequestError", "WsgiAppError", "AsgiAppError"),
    "app_error": ("WsgiAppError", "AsgiAppError"),
}

HOLE = "{}"
_LETTERS = re.compile(r"[A-Za-z]{2}")
_BAD_START = re.compile(
    r"(?!CR, LF|Django |HostError |LifespanManager: )[A-Z]|it |the error |[^\w'({]"
)

_NAMES_ARGUMENT = re.compile(r"[\w{}]+(: | (must|may|is|can|takes|does not) )")


class Message(NamedTuple):
    """A message, as it stands in the source.

    Attributes:
        kind: The class that is raised, ``"log debug"``, ``"answer"``, ``"check"`` or ``"print"``.
        field: What stands before the reason, empty if that is a part of it.
        reason: The rest.
        where: The place.
    """

    kind: str
    field: str
    reason: str
    where: str

    @property
    def text(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


# --- what the source has --------------------------------------------------------------------------

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=1)
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


@lru_cache(maxsize=1)
def constants() -> dict[str, ast.expr]:
    """Return what the modules assign to names at their outermost level."""
    return {
        node.targets[0].id: node.value
        for tree in modules().values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


@lru_cache(maxsize=1)
def text_functions() -> dict[str, ast.FunctionDef]:
    """Return the functions of modules that return a str, and take it from nowhere."""
    return {
        node.name: node
        for tree in modules().values()
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        if isinstance(node.returns, ast.Name) and node.returns.id == "str"
        if all(
            isinstance(each.value, (ast.Constant, ast.JoinedStr))
            for each in ast.walk(node)
            if isinstance(each, ast.Return)
        )
    }


def calls_of(tree: ast.Module) -> Iterator[tuple[ast.Call, Function | None]]:
    """Yield each call, and the innermost function that it is in."""

    def visit(
        node: ast.AST, function: Function | None
    ) -> Iterator[tuple[ast.Call, Function | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield child, function
            inner = (
                child if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
            )
            yield from visit(child, inner)

    yield from visit(tree, None)


def assigned(name: str, function: Function | None) -> Iterator[ast.expr]:
    """Yield what a function, or else a module, assigns to a name, with what is then added to it."""
    nodes = [] if function is None else list(ast.walk(function))
    values = [
        node.value
        for node in nodes
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [name]
    ]
    for node in nodes:
        if isinstance(node, ast.AugAssign) and ast.unparse(node.target) == name:
            values = [ast.BinOp(value, node.op, node.value) for value in values]
    if not values and name in constants():
        values = [constants()[name]]
    for value in values:
        if name not in {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}:
            yield value


def texts(node: ast.expr | None, function: Function | None) -> list[str]:
    """Return all that a text may be, with `HOLE` for what is put into it."""
    match node:
        case ast.Constant(value=str(value)):
            found = [value]
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            found = texts(value, function)
        case ast.JoinedStr(values=values):
            found = joined(*values, function=function)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = joined(left, right, function=function)
        case ast.IfExp(body=first, orelse=second):
            found = texts(first, function) + texts(second, function)
        case ast.BoolOp(values=values):
            found = [text for value in values for text in texts(value, function)]
        case ast.Name(id=name):
            found = [text for value in assigned(name, function) for text in texts(value, function)]
        case ast.Call(func=ast.Name(id=name)) if name in text_functions():
            called = text_functions()[name]
            returned = [each.value for each in ast.walk(called) if isinstance(each, ast.Return)]
            found = [text for value in returned for text in texts(value, called)]
        case _:
            found = []
    return found or [HOLE]


def joined(*nodes: ast.expr, function: Function | None) -> list[str]:
    parts = itertools.product(*(texts(node, function) for node in nodes))
    return ["".join(each) for each in parts]


def messages_of_call(call: ast.Call, function: Function | None) -> Iterator[tuple[str, str, str]]:
    """Yield kind, field and reason of what a call says, if it says something."""
    name = ast.unparse(call.func)
    known = (
        OURS | OTHERS | GIVEN.keys() | ANSWERS.keys() | REPORTS | {"print"} | EXPLANATIONS.keys()
    )
    if not (name in known or name.startswith("_logger.")):
        return
    if not call.args or isinstance(call.args[0], ast.Starred):
        return
    arguments = [texts(argument, function) for argument in call.args]
    if name == "ClientDisconnected" and len(arguments) == 1:
        arguments.append(["the client disconnected"])
    if name in OURS or (name in GIVEN and len(arguments) == 2):
        for kind in GIVEN.get(name, (name,)):
            yield from ((kind, *pair) for pair in itertools.product(*arguments[:2]))
    elif name in OTHERS:
        yield from ((name, "", text) for text in arguments[0])
    elif name.startswith("_logger."):
        level = name.removeprefix("_logger.").replace("exception", "error")
        yield from ((f"log {level}", "", text) for text in arguments[0])
    elif name in ANSWERS and len(arguments) > ANSWERS[name]:
        yield from (("answer", "", text) for text in arguments[ANSWERS[name]])
    elif name in REPORTS:
        for field, problem, remedy in itertools.product(*arguments[:3]):
            kinds = ("check", "UnavailableError") if name == "Obstacle" else ("check",)
            yield from ((kind, field, f"{problem}; {remedy}") for kind in kinds)
    elif name in EXPLANATIONS:
        # The rest of the message is the interpreter's.
        yield from (
            ("TypeError", "", f"{HOLE} is {EXPLANATIONS[name]}; {advice}: __call__(){HOLE}")
            for advice in arguments[0]
        )
    elif name == "print":
        yield from (("print", "", text) for text in arguments[0])


@lru_cache(maxsize=1)
def messages() -> list[Message]:
    """Return all messages that say something by themselves."""
    found: list[Message] = []
    for path, tree in modules().items():
        for call, function in calls_of(tree):
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            for kind, field, reason in messages_of_call(call, function):
                with_holes = re.sub(r"%[.\d]*[a-z]", HOLE, reason) if "log" in kind else reason
                message = Message(kind, field, with_holes, where)
                if _LETTERS.search(message.text):
                    found.append(message)
    return found


# --- what the page has ----------------------------------------------------------------------------


def kinds_of(heading: str) -> set[str]:
    """Return whose messages a section of the page has."""
    words = set(re.findall(r"\w+", heading))
    if heading.startswith("Log records"):
        return {f"log {level}" for level in LEVELS & words}
    for start, kind in (("Answers", "answer"), ("Findings", "check"), ("Command line", "print")):
        if heading.startswith(start):
            return {kind} | (words & OTHERS)
    return words & (OURS | OTHERS)


def normal(text: str) -> str:
    """Return a text without the blanks around its holes."""
    return re.sub(r"(\s*\{\}\s*)+", HOLE, re.sub(r"\s+", " ", text)).strip()


def lines_of(paragraph: Token) -> Iterator[str]:
    """Yield the messages of a paragraph, one a line: code, with the holes in italics."""
    line, italic = "", False
    for token in paragraph.children or []:
        if token.type in ("em_open", "em_close"):
            line += HOLE * (token.type == "em_close")
            italic = not italic
        elif token.type == "hardbreak":
            yield line
            line = ""
        elif token.type == "code_inline":
            line += token.content
        elif token.type == "softbreak":
            line += " "
        elif not italic:
            assert not token.content.strip(), f"neither code nor italic: {token.content!r}"
            line += token.content
    yield line


@lru_cache(maxsize=1)
def sections() -> dict[frozenset[str], set[str]]:
    """Return the messages of the page by whose they are."""
    found: dict[frozenset[str], set[str]] = {}
    kinds: frozenset[str] = frozenset()
    tokens = MarkdownIt("commonmark").parse(PAGE.read_text("utf-8"))
    for at, token in enumerate(tokens):
        if token.type != "inline":
            continue
        around, before = tokens[at - 2], tokens[at - 1]
        if before.tag == "h2":
            kinds = frozenset(kinds_of(token.content.replace("`", "")))
        elif kinds and before.type == "paragraph_open" and around.type == "list_item_open":
            found.setdefault(kinds, set()).update(normal(line) for line in lines_of(token))
    return found


# --- the tests ------------------------------------------------------------------------------------


def test_the_source_is_read() -> None:
    """A few of each kind, in each of the ways in which they are written."""
    found = {(message.kind, normal(message.text)) for message in messages()}
    assert found >= {
        ("RequestError", "content-length: values differ:{}"),  # by a class that is given
        ("AsgiAppError", "content-length:{}bytes fewer in the body than declared"),  # by a variable
        ("HostError", "headers: not an iterable of pairs of bytes"),  # by a function
        ("ClientDisconnected", "write: the client disconnected"),  # by default
        (
            "UnavailableError",
            "eventlet: no event loop can run beside it; use threads, or gevent, instead",
        ),
        ("ValueError", "{}must be at least{}, got{}"),
        (
            "TypeError",
            "{}is for ASGI servers; give others WsgiMounts: __call__(){}",
        ),
        ("log warning", "not ended by its cancellation:{}"),
        ("answer", "shutting down"),
        ("print", "error:{}"),
    }
    assert {message.kind for message in messages()} >= OURS - {"GatebridgeError"}


def test_every_message_is_on_the_page() -> None:
    missing = [
        f"{message.where}: {message.kind}: {message.text}"
        for message in messages()
        if not any(
            message.kind in kinds and normal(message.text) in section
            for kinds, section in sections().items()
        )
    ]
    assert missing == []


def test_the_page_has_no_message_that_is_no_more() -> None:
    known: dict[str, set[str]] = {}
    for message in messages():
        known.setdefault(message.kind, set()).add(normal(message.text))
    stale = [
        text
        for kinds, section in sections().items()
        for text in sorted(section)
        if not any(text in known.get(kind, set()) for kind in kinds)
    ]
    assert stale == []


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.where)
def test_a_message_is_in_the_style_of_the_others(message: Message) -> None:
    """Field, colon, then a phrase that begins in lower case and ends without a mark."""
    text = message.text
    if message.kind in OURS:
        assert message.field.strip()
        assert message.field[-1] not in ": "
    if message.kind in OTHERS - {"ArgumentTypeError", "ConnectionError"}:
        assert _NAMES_ARGUMENT.match(text), "does not say which argument"
    if message.kind != "print":
        assert not _BAD_START.match(message.reason)
    assert "\n" not in text
    assert "  " not in text
    assert text in ("No problems found.", "No errors found.") or re.search(r"[\w'){}>?]$", text)
    assert len(text) <= 300


def test_what_is_put_into_an_error_is_bounded() -> None:
    """What is shown by `repr` may come from anywhere, and be of any length."""
    unbounded: list[str] = []
    for path, tree in modules().items():
        for call, _ in calls_of(tree):
            name = ast.unparse(call.func)
            if not (name in OURS | OTHERS | set(GIVEN) or name.startswith("_logger.")):
                continue
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            for node in ast.walk(call):
                by_repr = isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
                if by_repr and not (node.format_spec or isinstance(node.value, ast.Subscript)):
                    unbounded.append(where)
                if isinstance(node, ast.Constant) and "%r" in str(node.value):
                    unbounded.append(where)
    assert unbounded == []
