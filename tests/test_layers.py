"""Who imports whom: the layers of the architecture page, and what ``import gatebridge`` brings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_SOURCE = _ROOT / "src" / "gatebridge"

# Beside the table of the layers: the names that are offered, and a number.
_ABOVE_ALL = {"": 99}
_BELOW_ALL = {"_version": 0}

_CAN_WAIT = set(
    "_thread aiofiles anyio asyncio concurrent curio eventlet fcntl gevent multiprocessing "
    "queue sched select selectors signal sniffio socket socketserver subprocess threading time "
    "trio uvloop".split()
)


def _layers() -> dict[str, int]:
    """Return the layer of each module, or of the package that it is in, by the documentation."""
    text = (_ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    layers = _ABOVE_ALL | _BELOW_ALL
    for number, modules in re.findall(r"^\| (\d+) [^|]*\|([^|]*)\|", text, re.MULTILINE):
        layers |= {name: int(number) for name in re.findall(r"`(\w+)/?`", modules)}
    return layers


_LAYERS = _layers()
_MODULES = {
    ".".join(path.relative_to(_SOURCE).with_suffix("").parts)
    .removesuffix("__init__")
    .rstrip("."): path
    for path in sorted(_SOURCE.rglob("*.py"))
}
"""The files by their names within gatebridge, which is itself ``""``."""


def _imports(module: str) -> Iterator[str]:
    """Yield the full name of everything that a module imports, at whatever place and time."""
    path = _MODULES[module]
    package = ["gatebridge", *path.relative_to(_SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _layer(module: str) -> int:
    return _LAYERS[module.partition(".")[0]]


@pytest.mark.parametrize("module", _MODULES)
def test_every_module_has_a_layer(module: str) -> None:
    assert module.partition(".")[0] in _LAYERS


def test_the_layers_are_those_of_modules_that_exist() -> None:
    assert {name for name in _LAYERS if name} == {m.partition(".")[0] for m in _MODULES if m}


@pytest.mark.parametrize("module", _MODULES)
def test_no_module_imports_from_a_higher_layer(module: str) -> None:
    inside = [
        name.split(".") for name in _imports(module) if name.partition(".")[0] == "gatebridge"
    ]
    # "from gatebridge import errors" imports from errors, "import gatebridge" from the very top.
    imported = [parts[1] if len(parts) > 1 and parts[1] in _LAYERS else "" for parts in inside]
    assert [name for name in imported if _layer(name) > _layer(module)] == []


def test_the_layers_below_the_top_import_one_another() -> None:
    """That the test above finds imports at all."""
    assert "gatebridge.errors.RequestError" in _imports("_translate.paths")
    assert "gatebridge._translate.environ.environ_from_scope" in _imports("")


@pytest.mark.parametrize(
    ("module", "other"),
    [
        (module, other)
        for direction, other in (
            ("_wsgi_on_asgi", "_asgi_on_wsgi"),
            ("_asgi_on_wsgi", "_wsgi_on_asgi"),
        )
        for module in _MODULES
        if module.partition(".")[0] == direction
    ],
)
def test_no_direction_imports_from_the_other(module: str, other: str) -> None:
    assert [name for name in _imports(module) if other in name.split(".")] == []


@pytest.mark.parametrize(
    "module", [m for m in _MODULES if m.partition(".")[0] in ("_translate", "_protocol")]
)
def test_the_pure_layer_imports_nothing_that_can_wait(module: str) -> None:
    assert _CAN_WAIT.isdisjoint(name.partition(".")[0] for name in _imports(module))


def test_importing_gatebridge_imports_no_server_framework_or_other_backend() -> None:
    """All that comes with it is the standard library and the declared dependencies."""
    code = (
        "import sys; before = set(sys.modules); import gatebridge;print(*set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    modules = set(run.stdout.split())
    assert modules.isdisjoint({"gatebridge.auto", "gatebridge.checks"})
    imported = {name.partition(".")[0] for name in modules}
    assert "gatebridge" in imported
    of_anyio = {"exceptiongroup", "idna", "sniffio"}
    expected = {"gatebridge", "anyio", "typing_extensions"} | of_anyio
    assert imported - sys.stdlib_module_names - expected == set()
