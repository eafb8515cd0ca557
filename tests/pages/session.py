"""A reader who types in what a page says: files, commands, servers, Python."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from pages.blocks import Block
from servers.processes import HANG, PATHS

ROOT = Path(__file__).parents[2]

# The ports that pages name, for each of which a free one takes its place.
_PORTS = re.compile(r"\b(8000|8001|8080)\b")
_SERVER = re.compile(
    r"\b(uvicorn|gunicorn|hypercorn|daphne|granian|waitress-serve|uwsgi|runserver"
    r"|gatebridge serve)\b|\bflask\b.* run\b|\bpython examples/\w+\.py|\bpython serve\w*\.py"
)
_NGINX = re.compile(r"nginx\b")  # stands before the server, which goes on
_NOT_TYPED = re.compile(r"#|pip install |python3 -m venv |\. .*/activate$")

# A block that hangs shows where it does.
_INTERPRETER = """
import faulthandler, sys
namespace = {"__name__": "__main__"}
sys.path.insert(0, "")
for line in sys.stdin:
    folder, text, where = eval(line)
    import os; os.chdir(folder)
    faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
    exec(compile("\\n" * (where - 1) + text, "page", "exec"), namespace)
    sys.stdout.flush()
    faulthandler.cancel_dump_traceback_later()
    print("\\0", flush=True)
"""


class Session:
    """A page's commands are run in a copy of a checkout; the servers they start end with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "checkout"
        self._folder.mkdir()
        for path in ROOT.iterdir():
            if path.name not in (".git", ".venv"):
                (self._folder / path.name).symlink_to(path)
        # As on a terminal, where curl shows no progress.
        (folder / ".curlrc").write_text("no-progress-meter\n", "utf-8")
        self._state = folder / "state"
        self._log = folder / "server.log"
        self._servers: list[subprocess.Popen[bytes]] = []  # one, and nginx before it
        self._interpreter: subprocess.Popen[str] | None = None
        self._ports: dict[str, socket.socket] = {}
        self._output = ""
        self._environ = {
            **os.environ,
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
            ),
            "PYTHONPATH": str(PATHS[0]),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
            "HOME": str(folder),
            "UVICORN_PORT": self._port("8000"),
            "PORT": self._port("8000"),  # of the examples
            "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{self._port('8000')}",
        }
        for name in ("COVERAGE_PROCESS_START", "PYTEST_CURRENT_TEST", "GATEBRIDGE_APP"):
            self._environ.pop(name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.ExitStack() as stack:
            for holder in self._ports.values():
                stack.callback(holder.close)
            if self._interpreter:
                stack.callback(_kill, self._interpreter)
            self._stop_servers(signal.SIGTERM if kind is None else signal.SIGKILL)
            if self._interpreter and kind is None:
                self._interpreter.communicate(timeout=HANG)
                assert self._interpreter.returncode == 0

    def type_in(self, block: Block) -> None:
        """Do what a reader does with a block."""
        text = _PORTS.sub(lambda match: self._port(match[1]), block.text)
        if block.file_name:
            path = self._folder / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                path.unlink()
            assert not path.resolve().is_relative_to(ROOT), "it would be written into the checkout"
            path.write_text(text, "utf-8")
        elif block.language == "python":
            self._interpret(text, block.line)
        elif block.language == "sh":
            self._run(text)
        elif block.log:
            self._look_into_log(text, stop=block.stop)
        elif block.language == "text" and block.answers:
            output = self._output.strip()
            assert _pattern(text).fullmatch(output), f"not {text!r} but {output!r}"

    def _port(self, name: str) -> str:
        """Return the number that stands for a port of the page, kept from all but the server."""
        if name not in self._ports:
            holder = self._ports[name] = socket.socket()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
        return str(self._ports[name].getsockname()[1])

    def _spawn(
        self, command: list[str], *, stdin: int = subprocess.DEVNULL, **options: Any
    ) -> subprocess.Popen[Any]:
        """Start a process that leads a group of its own, as `_kill` wants it."""
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environ,
            stdin=stdin,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )

    # --- Python -----------------------------------------------------------------------------------

    def _interpret(self, text: str, line: int) -> None:
        if self._interpreter is None:
            self._interpreter = self._spawn(
                [sys.executable, "-W", "error::SyntaxWarning", "-c", _INTERPRETER, str(4 * HANG)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._interpreter.stdin
        assert self._interpreter.stdout
        self._interpreter.stdin.write(repr((str(self._folder), text, line)) + "\n")
        self._interpreter.stdin.flush()
        lines = []
        for output in self._interpreter.stdout:
            if output == "\0\n":
                break
            lines.append(output)
        self._output = "".join(lines)
        assert output == "\0\n", self._output

    # --- commands ---------------------------------------------------------------------------------

    def _run(self, text: str) -> None:
        commands = list(_to_run(text))
        if not commands:
            return
        server = None
        if "curl" not in commands[-1] and (
            _SERVER.search(commands[-1]) or _NGINX.match(commands[-1])
        ):
            server = commands.pop()
        if commands:
            self._run_commands("\n".join(commands))
        if server and _NGINX.match(server):
            self._start(server, int(self._port("8080")))
        elif server:
            self._start_server(server)

    def _run_commands(self, script: str) -> None:
        process = self._spawn(
            ["bash", "-euo", "pipefail", "-c", f"{script}\npwd > {shlex.quote(str(self._state))}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._output = process.communicate(timeout=4 * HANG)[0]
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it hangs: {script}\n{self._server_output()}") from error
        finally:
            _kill(process)  # with what it has left in the background
        assert process.returncode == 0, f"{script}\n{self._output}\n{self._server_output()}"
        self._folder = Path(self._state.read_text().strip())

    # --- servers ----------------------------------------------------------------------------------

    def _start_server(self, command: str) -> None:
        self._stop_servers(signal.SIGTERM)
        self._log.unlink(missing_ok=True)
        named = _port_named(command, {holder.getsockname()[1] for holder in self._ports.values()})
        self._start(command, named or int(self._port("8000")))

    def _start(self, command: str, port: int) -> None:
        """Start a server, and return once it listens."""
        with self._log.open("ab") as log:
            # Without a shell of its own between it and the signals.
            server = self._spawn(["bash", "-c", f"exec env {command}"], stdout=log)
        self._servers.append(server)
        deadline = time.monotonic() + 2 * HANG
        while server.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=HANG).close()
                return
            time.sleep(0.02)  # nothing else tells
        raise AssertionError(f"{command}\n{self._server_output()}")

    def _stop_servers(self, how: signal.Signals) -> None:
        with contextlib.ExitStack() as stack:
            for server in self._servers:
                stack.callback(_kill, server)  # also if another one has to be waited for in vain
                server.send_signal(how)
            for server in self._servers:
                server.wait(2 * HANG)
            self._servers.clear()

    def _look_into_log(self, text: str, *, stop: bool) -> None:
        if stop:
            self._stop_servers(signal.SIGINT)
        deadline = time.monotonic() + HANG
        while not _pattern(text).search(self._server_output()):
            assert time.monotonic() < deadline, f"not {text!r} in {self._server_output()!r}"
            time.sleep(0.02)  # nothing else tells

    def _server_output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def _kill(leader: subprocess.Popen[Any]) -> None:
    """End a process and whatever it has started."""
    with leader, contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)


def _port_named(command: str, ports: set[int]) -> int | None:
    return next((port for port in ports if str(port) in command), None)


def installs(text: str) -> Iterator[str]:
    """Yield what the lines of a block install by pip, as distributions are called."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["pip", "install"]:
            for word in words[2:]:
                if not word.startswith((".", "-")):
                    yield re.split(r"[\[<>=~!;]", word)[0]


def lacking(text: str) -> str | None:
    """Return which of the packages that a block installs is not there, if one is not."""
    missing = [name for name in installs(text) if not any(distributions(name=name))]
    return f"{', '.join(missing)} not installed" if missing else None


def _to_run(text: str) -> Iterator[str]:
    """Yield the commands of a block, without those that made the environment that there is."""
    for command in re.sub(r"\\\n\s*", "", text).splitlines():
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text()), command
        elif command.strip() and not _NOT_TYPED.match(command):
            yield command


def _pattern(expected: str) -> re.Pattern[str]:
    """Return what an expected output matches: ``...`` is anything, as a line any lines or none."""
    pieces = (
        ".*".join(re.escape(part) for part in piece.split("..."))
        for piece in expected.strip().split("\n...\n")
    )
    return re.compile(r"\n(?:.*\n)?".join(pieces), re.DOTALL)
