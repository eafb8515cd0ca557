"""``gatebridge``: usage, ``inspect`` and ``check``."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gatebridge import __version__
from gatebridge.__main__ import main
from servers.processes import HANG, python

pytestmark = pytest.mark.usefixtures("folder")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that succeeds, and return what it prints, with single spaces."""
    assert main(arguments) == 0
    return re.sub(" +", " ", capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["serve"],
        ["serve", "site_of_test:wsgi", "--port=65536"],
        ["serve", "site_of_test:wsgi", "--port=http"],
        ["inspect", "site_of_test:wsgi", "--interface=cgi"],
    ],
    ids=" ".join,
)
def test_a_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: gatebridge" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "inspect", "check"])
def test_an_unknown_option_shows_the_usage_of_its_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "site_of_test:wsgi", "--prot=80"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: gatebridge {command} ")
    assert said.endswith(f"gatebridge {command}: error: unrecognized arguments: --prot=80\n")


def test_the_help_shows_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "(default: 127.0.0.1)" in said
    assert "(default: 8000)" in said
    assert "(default: auto" in said


def test_the_script_imports_from_the_working_directory(folder: Path) -> None:
    """Which Python does by itself for ``python -m``."""
    code = "import sys; sys.path.pop(0); from gatebridge.__main__ import run; sys.exit(run())"
    run = subprocess.run(
        [sys.executable, "-c", code, "inspect", "site_of_test:wsgi"],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
        cwd=folder,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert not caught.value.code
    assert capsys.readouterr().out == f"gatebridge {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "inspect", "check"])
def test_an_application_that_is_not_there_is_1(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "site_of_test:wsgj"]) == 1
    start = "error: site_of_test:wsgj: module 'site_of_test' has no 'wsgj'; did you mean "
    assert capfd.readouterr().err.startswith(f"{start}site_of_test:wsgi or ")


def test_an_error_inside_of_the_application_is_1_with_its_traceback() -> None:
    run = subprocess.run(
        python("gatebridge", "inspect", "broken_site:app"),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert run.returncode == 1
    assert 'broken_site.py", line 1' in run.stderr
    assert run.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_inspect_tells_of_a_wsgi_application(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "inspect", "site_of_test:wsgi")
    assert "interface: wsgi\n" in text
    assert "lifespan: none" in text
    assert "on an ASGI server: in WsgiToAsgi: GATEBRIDGE_APP='site_of_test:wsgi' uvicorn" in text
    assert "on a WSGI server: as it is\n" in text


@pytest.mark.clause("D-13")
def test_inspect_tells_how_the_body_of_a_chunked_upload_comes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    advice = "in code: WsgiToAsgi(app, spool_bodies=True)"
    assert advice in said(capsys, "inspect", "site_of_test:wsgi")
    assert "chunked uploads" not in said(capsys, "inspect", "site_of_test:asgi")
    pytest.importorskip("flask")
    text = said(capsys, "inspect", "site_of_flask:app")
    assert "chunked uploads: streamed" in text
    assert advice not in text


def test_inspect_tells_of_an_asgi_application(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "inspect", "site_of_test:asgi")
    assert "interface: asgi\n" in text
    assert "lifespan: not tried" in text
    assert "on an ASGI server: as it is\n" in text
    assert "on a WSGI server: in AsgiToWsgi: GATEBRIDGE_APP='site_of_test:asgi' gunicorn" in text
    assert sys.modules["site_of_test"].history == []


def test_inspect_says_what_it_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Or else the line that it gives would not do."""
    text = said(capsys, "inspect", "site_of_test:either", "--interface=asgi")
    line = "GATEBRIDGE_APP='site_of_test:either' GATEBRIDGE_INTERFACE=asgi gunicorn"
    assert f"on a WSGI server: in AsgiToWsgi: {line}" in text


def test_inspect_tells_of_a_wsgi_application_that_starts_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, "inspect", "site_of_test:mounts")
    assert "lifespan: with its startup() and close()\n" in text


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "to_asgi",
            (
                "on a WSGI server: the application inside the adapter, as it is: "
                "GATEBRIDGE_APP='site_of_test:to_asgi.app' gunicorn"
            ),
        ),
        (
            "to_wsgi",
            (
                "on an ASGI server: the application inside the adapter, as it is: "
                "GATEBRIDGE_APP='site_of_test:to_wsgi.app' uvicorn"
            ),
        ),
        (
            "create_site()",
            "on a WSGI server: the application inside the adapter, as it is: <function held",
        ),
    ],
)
def test_inspect_does_not_wrap_an_adapter_again(
    name: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in said(capsys, "inspect", f"site_of_test:{name}")


def test_inspect_start_runs_the_lifespan(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "inspect", "site_of_test:asgi", "--start")
    assert "lifespan: answered; state: event\n" in text
    assert sys.modules["site_of_test"].history == ["startup", "shutdown"]


def test_inspect_start_tells_that_there_is_no_lifespan(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "inspect", "site_of_test:without_lifespan", "--start")
    assert "lifespan: none" in text


def test_inspect_start_fails_with_the_startup(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "site_of_test:failing", "--start"]) == 1
    assert capsys.readouterr().err == "error: lifespan.startup.failed: no database\n"


def test_check_finds_what_hurts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatebridge.checks.find_spec", lambda name: name)  # all are installed
    assert main(["check"]) == 0
    interpreter, application, passed, verdict = capsys.readouterr().out.splitlines()
    assert interpreter == f"interpreter: CPython {sys.version.split()[0]}"
    assert application == "application: none; give one to check what its import changes"
    assert passed == "passed: uwsgi, eventlet, gevent, threads, fork, sub-interpreter, wsproto"
    assert verdict == "No problems found."
    uwsgi = type(sys)("uwsgi")
    vars(uwsgi).update(has_threads=0, worker_id=lambda: 1)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    assert "\npassed: eventlet, gevent, threads, fork, sub-interpreter, wsproto\n" in said
    assert "\nerror: uwsgi: without its option enable-threads" in said
    assert "found" not in said


def test_check_says_that_a_note_is_not_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatebridge.checks.find_spec", lambda name: None)
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "\nnote: wsproto: not installed" in said
    assert said.endswith("\nNo errors found.\n")


@pytest.mark.clause("D-13")
@pytest.mark.parametrize(
    ("name", "noted"),
    [("site_of_test:wsgi", True), ("site_of_test:asgi", False), ("site_of_flask:app", False)],
)
def test_check_notes_an_application_that_may_need_the_length_of_a_body(
    name: str, noted: bool
) -> None:
    if "flask" in name:
        pytest.importorskip("flask")
    run = subprocess.run(
        python("gatebridge", "check", name),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )
    assert ("note: body-length: " in run.stdout) is noted
    passed = next(line for line in run.stdout.splitlines() if line.startswith("passed: "))
    assert ("body-length" in passed) is ("flask" in name)  # of an ASGI application it is not made
    assert ("pass spool_bodies=True to WsgiToAsgi" in run.stdout) is noted


_PATCH = "import gevent.monkey; gevent.monkey.patch_all()\n"
_ADAPT = "from gatebridge import AsgiToWsgi\nasync def asgi(scope, receive, send): ...\n"
_APP = "app = AsgiToWsgi(asgi)\n"


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        pytest.param(_PATCH + _ADAPT + _APP, "", id="patched-early"),
        pytest.param(_ADAPT + _PATCH + _APP, "error: gevent: ", id="patched-late"),
        pytest.param(_ADAPT + _APP + "app.startup()\n", "error: fork: ", id="started"),
    ],
)
def test_check_finds_what_the_import_of_an_application_brings(
    code: str, finding: str, folder: Path
) -> None:
    """It has to import the application first: gevent's patches come before gatebridge, or late."""
    if "gevent" in code and not find_spec("gevent"):
        pytest.skip("gevent is not installed")
    (folder / "host.py").write_text(code)
    run = subprocess.run(
        python("gatebridge", "check", "host:app"),
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert run.stderr == ""
    assert run.returncode == bool(finding)
    assert finding in run.stdout
    assert ("error: " in run.stdout) is bool(finding)
    assert "application: host:app, WSGI\n" in run.stdout
