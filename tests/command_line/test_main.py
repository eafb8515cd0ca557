"""``python -m gatebridge``: usage, ``inspect`` and ``check``."""

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
    assert "usage: python -m gatebridge" in capsys.readouterr().err


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
    reason = "module 'site_of_test' has no 'wsgj'; is it 'wsgi' or 'asgi'?"
    assert capfd.readouterr().err == f"error: site_of_test:wsgj: {reason}\n"


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
    assert "lifespan: by its startup() and close()\n" in text


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
    assert main(["check"]) == 0
    assert capsys.readouterr().out.endswith("Nothing that hurts was found.\n")
    uwsgi = type(sys)("uwsgi")
    vars(uwsgi).update(has_threads=0, worker_id=lambda: 1)
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    assert main(["check"]) == 1
    assert capsys.readouterr().out.startswith("error: uwsgi: without its option enable-threads")


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
    assert ("note: chunked uploads: " in run.stdout) is noted
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
    assert ("error" in run.stdout) is bool(finding)
