"""The command line: ``gatebridge``, or ``python -m gatebridge``."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gatebridge._command_line.check import check, check_in_new_interpreter
from gatebridge._command_line.describe import describe
from gatebridge._command_line.serve import serve
from gatebridge._load import NamedApplication, load
from gatebridge._version import __version__
from gatebridge.errors import GatebridgeError


def run() -> int:
    """Like `main`, for the console script ``gatebridge``.

    Like ``python -m``, it imports from the working directory.
    """
    sys.path.insert(0, str(Path.cwd()))
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, and return the exit status.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        0, or 1 for a failure. `SystemExit` with 2 is raised for a wrong usage.
    """
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        status: int = options.command(options)
    except GatebridgeError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    return status


def _parser() -> ArgumentParser:
    named = ArgumentParser(add_help=False)
    named.add_argument(
        "--interface",
        choices=("auto", "asgi", "wsgi"),
        default="auto",
        help="the application's interface (default: %(default)s, detected from its signature)",
    )
    name_help = "package.module:app, or package.module:create_app() for a factory"

    parser = ArgumentParser(
        prog="gatebridge", description="Serve and examine WSGI and ASGI applications."
    )
    parser.add_argument("--version", action="version", version=f"gatebridge {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", parents=[named], help="run an application")
    command.add_argument("application", help=name_help)
    command.add_argument(
        "--host", default="127.0.0.1", help="name or address to listen on (default: %(default)s)"
    )
    command.add_argument(
        "--port",
        type=_port_argument,
        default=8000,
        help="port to listen on, 0 for any free port (default: %(default)s)",
    )
    command.set_defaults(command=_serve, parser=command)

    command = commands.add_parser(
        "inspect", parents=[named], help="show what an application is, and how to serve it"
    )
    command.add_argument("application", help=name_help)
    command.add_argument("--start", action="store_true", help="also run its startup and shutdown")
    command.set_defaults(command=_inspect, parser=command)

    command = commands.add_parser(
        "check", parents=[named], help="report what would cause trouble with this interpreter"
    )
    command.add_argument(
        "application", nargs="?", help=f"{name_help}; also reports what its import changes"
    )
    command.add_argument("--imported", action="store_true", help=SUPPRESS)
    command.set_defaults(command=_check, parser=command)
    return parser


def _port_argument(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ArgumentTypeError(f"must be a port from 0 to 65535, got {text!r:.80}")
    return int(text)


def _named_application(options: Namespace) -> NamedApplication:
    return load(options.application, options.interface)


def _serve(options: Namespace) -> int:
    say = partial(print, flush=True)
    return 0 if serve(_named_application(options), options.host, options.port, say) else 1


def _inspect(options: Namespace) -> int:
    for line in describe(_named_application(options), start=options.start):
        print(line)
    return 0


def _check(options: Namespace) -> int:
    if options.application is None:
        return check(None)
    if not options.imported:
        return check_in_new_interpreter(options.application, options.interface)
    return check(_named_application(options))


if __name__ == "__main__":
    sys.exit(main())
