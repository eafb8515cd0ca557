"""The command line: ``python -m gatebridge``."""

from __future__ import annotations

import subprocess
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

from gatebridge._inspect import describe
from gatebridge._loading import NamedApplication, load
from gatebridge._serve import serve
from gatebridge._version import __version__
from gatebridge.checks import check_host, check_import
from gatebridge.errors import GatebridgeError

# To an interpreter that has imported gatebridge, gevent's patches always come too late.
_APPLICATION_FIRST = """\
import contextlib, importlib, sys
with contextlib.suppress(Exception):  # which comes again
    importlib.import_module(sys.argv[1].partition(":")[0])
from gatebridge.__main__ import main
sys.exit(main(["check", "--imported", *sys.argv[1:]]))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, and return the exit status.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        0, or 1 for a failure. `SystemExit` with 2 is raised for a wrong usage.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except GatebridgeError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    return status


def _parser() -> ArgumentParser:
    named = ArgumentParser(add_help=False)
    named.add_argument("--interface", choices=("auto", "asgi", "wsgi"), default="auto")
    name_help = "package.module:app, or package.module:create_app() for a factory"

    parser = ArgumentParser(prog="python -m gatebridge", description="WSGI and ASGI, either way.")
    parser.add_argument("--version", action="version", version=f"gatebridge {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", parents=[named], help="run an application")
    command.add_argument("application", help=name_help)
    command.add_argument("--host", default="127.0.0.1")
    command.add_argument("--port", type=_port, default=8000, help="0 for any that is free")
    command.set_defaults(command=_serve)

    command = commands.add_parser("inspect", parents=[named], help="tell what an application is")
    command.add_argument("application", help=name_help)
    command.add_argument("--start", action="store_true", help="run its startup and shutdown")
    command.set_defaults(command=_inspect)

    command = commands.add_parser("check", parents=[named], help="tell what would hurt here")
    command.add_argument("application", nargs="?", help=name_help)
    command.add_argument("--imported", action="store_true", help=SUPPRESS)
    command.set_defaults(command=_check)
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ArgumentTypeError(f"not a port from 0 to 65535: {text!r:.80}")
    return int(text)


def _load(options: Namespace) -> NamedApplication:
    return load(options.application, options.interface)


def _serve(options: Namespace) -> int:
    def say(text: str) -> None:
        print(text, flush=True)

    return 0 if serve(_load(options), options.host, options.port, say) else 1


def _inspect(options: Namespace) -> int:
    for line in describe(_load(options), start=options.start):
        print(line)
    return 0


def _check(options: Namespace) -> int:
    name: str | None = options.application
    if name is not None and not options.imported:
        arguments = [name, f"--interface={options.interface}"]
        return subprocess.run(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", _APPLICATION_FIRST, *arguments], check=False
        ).returncode
    if name is None:
        findings = check_host()
    else:
        loaded = _load(options)
        findings = check_import(loaded.app if loaded.interface == "wsgi" else None)
    for finding in findings:
        print(f"{finding.severity}: {finding.name}: {finding.problem}\n    {finding.remedy}")
    hurts = any(finding.severity == "error" for finding in findings)
    if not hurts:
        print("Nothing that hurts was found.")
    return 1 if hurts else 0


if __name__ == "__main__":
    sys.exit(main())
