"""What the environ holds at run time; its translation from the scope has tests of its own."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest

from gatebridge.errors import HostError
from wsgi_on_asgi.apps import Environ, adapter, body_app, serve
from wsgi_on_asgi.host import Host, extensions

pytestmark = pytest.mark.direction("w2a")


async def environ_of(*body: bytes, options: dict[str, Any] | None = None, **scope: Any) -> Environ:
    """Return the environ that an application is called with."""
    environs: list[Environ] = []
    host = Host(*body, **scope)
    app = body_app(lambda environ: environs.append(environ) or [])
    await host.serve(adapter(app, **(options or {})))
    (environ,) = environs
    return environ


@pytest.mark.clause("W-CALL-11")
async def test_the_environ_is_a_fresh_builtin_dict() -> None:
    environs: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environs.append(environ)
        start_response("200 OK", [])
        return []

    served = adapter(app, environ={"x.list": []})
    await Host().serve(served)
    environs[0]["left.behind"] = True
    await Host().serve(served)
    assert [type(environ) for environ in environs] == [dict, dict]
    assert "left.behind" not in environs[1]


@pytest.mark.clause("W-CALL-12", "W-IN-01")
@pytest.mark.parametrize("body", [[b"whole"], [b"in ", b"parts"]])
async def test_a_cleared_environ_does_no_harm(body: list[bytes]) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        read = environ["wsgi.input"].read
        wrapper = environ["wsgi.file_wrapper"]
        environ.clear()
        environ["wsgi.input"] = environ["REQUEST_METHOD"] = None
        start_response("200 OK", [])
        yield read()
        yield b"".join(wrapper(io.BytesIO(b"!")))

    host = await serve(app, *body, method="POST")
    assert host.body == b"".join(body) + b"!"


@pytest.mark.clause("W-CALL-12")
async def test_a_changed_method_does_not_change_the_response() -> None:
    """The request was GET, so its response has content, whatever the application writes there."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        environ["REQUEST_METHOD"] = "HEAD"
        start_response("200 OK", [])
        return [b"content"]

    assert (await serve(app)).body == b"content"


@pytest.mark.clause("C-05", "D-18", "A-HTTP-13", "W-EXT-01")
async def test_the_scope_itself_is_in_the_environ_with_its_state() -> None:
    host = Host(state={"pool": object()})
    environs: list[Environ] = []
    await host.serve(adapter(body_app(lambda environ: environs.append(environ) or [])))
    assert environs[0]["asgi.scope"] is host.scope
    assert environs[0]["asgi.scope"]["state"] is host.scope["state"]


@pytest.mark.clause("A-CORE-03", "A-CORE-04")
@pytest.mark.parametrize("asgi", [None, {}, {"version": "2.0"}, {"version": "3.0"}])
async def test_the_version_of_the_server_may_be_missing(asgi: Any) -> None:
    """The strict host accepts core messages only: nothing newer than the version is sent."""
    host = Host(asgi=asgi)
    await host.serve(adapter(body_app(lambda environ: iter([b"a", b"b"]))))
    assert host.body == b"ab"


@pytest.mark.clause("A-CORE-13", "A-CORE-09")
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"extensions": None},
        {"extensions": {}},
        {"extensions": {"unknown.extension": {"key": 1}}},
        {"unknown_key": 5},
    ],
)
async def test_extensions_may_be_missing_or_none_and_unknown_keys_are_ignored(change: Any) -> None:
    host = Host()
    host.scope.update(change)
    await host.serve(adapter(body_app(lambda environ: [b"x"])))
    assert host.body == b"x"


@pytest.mark.clause("W-ENV-17", "C-01")
@pytest.mark.parametrize("body", [[], [b"whole"], [b"in ", b"parts"]])
async def test_the_input_is_bytes_and_ends_by_itself(body: list[bytes]) -> None:
    environ: Environ = {}

    def app(given: Environ, start_response: Any) -> list[bytes]:
        environ.update(given)
        start_response("200 OK", [])
        return [given["wsgi.input"].read(), given["wsgi.input"].read()]

    host = await serve(app, *body, method="POST")
    assert environ["wsgi.input_terminated"] is True
    assert host.body == b"".join(body)


@pytest.mark.clause("W-ENV-18")
async def test_the_error_stream_is_there() -> None:
    errors = (await environ_of())["wsgi.errors"]
    assert all(callable(getattr(errors, name)) for name in ("write", "writelines", "flush"))


@pytest.mark.clause("W-ENV-19")
@pytest.mark.parametrize(
    ("options", "multithread"),
    [({}, True), ({"threads": 2}, True), ({"threads": 1}, False)],
)
async def test_multithread_is_false_only_with_one_thread(
    options: dict[str, Any], multithread: bool
) -> None:
    assert (await environ_of(options=options))["wsgi.multithread"] is multithread


@pytest.mark.clause("W-ENV-19")
async def test_multithread_is_true_if_a_stalled_call_lets_another_run() -> None:
    environ = await environ_of(options={"threads": 1, "max_threads": 2})
    assert environ["wsgi.multithread"] is True


@pytest.mark.clause("W-ENV-20", "D-17")
@pytest.mark.parametrize(
    ("options", "multiprocess"), [({}, True), ({"multiprocess": False}, False)]
)
async def test_multiprocess_is_true_unless_the_deployer_says_otherwise(
    options: dict[str, Any], multiprocess: bool
) -> None:
    assert (await environ_of(options=options))["wsgi.multiprocess"] is multiprocess


@pytest.mark.clause("W-ENV-21", "W-ENV-15")
async def test_the_other_wsgi_keys_are_constant() -> None:
    environ = await environ_of()
    assert environ["wsgi.version"] == (1, 0)
    assert type(environ["wsgi.version"]) is tuple
    assert environ["wsgi.run_once"] is False


@pytest.mark.clause("CGI-01", "D-13")
@pytest.mark.parametrize(
    ("body", "headers", "length"),
    [
        pytest.param([b""], {}, None, id="no body"),
        pytest.param([b"12345"], {}, None, id="whole body at once"),
        pytest.param([b"123", b"45"], {}, None, id="in parts"),
        pytest.param([b"12345", b""], {}, None, id="end comes later"),
        pytest.param([b"12345"], {b"transfer-encoding": b"chunked"}, None, id="coding, whole"),
        pytest.param([b"1", b"2"], {b"transfer-encoding": b"chunked"}, None, id="coding, parts"),
        pytest.param(
            [b"12345"],
            {b"transfer-encoding": b"chunked", b"content-length": b"3"},
            None,
            id="coding overrides length",
        ),
        pytest.param([b""], {b"content-length": b"0"}, "0", id="declared 0"),
        pytest.param([b"123", b"45"], {b"content-length": b"5"}, "5", id="declared"),
    ],
)
@pytest.mark.clause("CGI-18", "A-HTTP-14", "H-MSG-05")
async def test_content_length_is_the_declared_one_however_the_body_arrives(
    body: list[bytes], headers: dict[bytes, bytes], length: str | None
) -> None:
    environ: Environ = {}

    def app(given: Environ, start_response: Any) -> list[bytes]:
        environ.update(given)
        start_response("200 OK", [])
        return [given["wsgi.input"].read()]

    host = await serve(app, *body, method="POST", headers=list(headers.items()))
    assert environ.get("CONTENT_LENGTH") == length
    assert host.body == b"".join(body)
    assert "HTTP_TRANSFER_ENCODING" not in environ


@pytest.mark.clause("W-ENV-24", "W-ENV-22")
async def test_the_deployers_pairs_are_in_each_environ() -> None:
    secret = object()
    pairs = {"app.secret": secret, "REMOTE_USER": "anna", "SERVER_NAME": "www.example.org"}
    environ = await environ_of(options={"environ": pairs})
    assert {key: environ[key] for key in pairs} == pairs


@pytest.mark.clause("W-ENV-24")
async def test_the_deployer_cannot_replace_a_wsgi_key(caplog: pytest.LogCaptureFixture) -> None:
    pairs = {"wsgi.multithread": "x", "wsgi.input": "x", "wsgi.file_wrapper": "x"}
    environ = await environ_of(options={"environ": pairs})
    assert all(environ[key] != "x" for key in pairs)
    assert all(key in caplog.text for key in pairs)


@pytest.mark.clause("W-ENV-14", "W-ENV-24")
@pytest.mark.parametrize("value", [80, b"80", None])
def test_the_deployers_cgi_variables_must_be_strings(value: Any) -> None:
    with pytest.raises(TypeError, match="SERVER_PORT"):
        adapter(lambda *_: [], environ={"SERVER_PORT": value})


@pytest.mark.clause("W-STR-02", "W-ENV-24")
def test_the_deployers_cgi_variables_must_be_native_strings() -> None:
    with pytest.raises((TypeError, ValueError), match="REMOTE_USER"):
        adapter(lambda *_: [], environ={"REMOTE_USER": "\u4e2d"})


@pytest.mark.clause("W-ENV-25", "C-15", "C-16", "C-09")
async def test_the_process_environment_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    leaks = {"HTTP_PROXY": "evil", "SCRIPT_NAME": "/evil", "SECRET": "s", "ASGI_THREADS": "1"}
    for name, value in leaks.items():
        monkeypatch.setenv(name, value)
    environ = await environ_of()
    assert environ["SCRIPT_NAME"] == ""
    assert environ["wsgi.multithread"] is True
    assert not {"HTTP_PROXY", "SECRET", "ASGI_THREADS", "PATH"} & set(environ)
    assert not set(environ) & (set(os.environ) - {"SCRIPT_NAME"})
    promises = ("werkzeug.", "gunicorn.", "wsgi.websocket", "eventlet.", "uwsgi.")
    assert not [key for key in environ if key.startswith(promises)]


@pytest.mark.clause("A-TLS-01", "A-TLS-06", "W-ENV-11", "D-16")
async def test_tls_data_reaches_the_environ_only_where_the_server_gives_it() -> None:
    tls = {"server_cert": None, "tls_version": 0x0304, "cipher_suite": None}
    environ = await environ_of(scheme="https", extensions={"tls": tls})
    assert (environ["HTTPS"], environ["SSL_PROTOCOL"]) == ("on", "TLSv1.3")
    environ = await environ_of(scheme="https")
    assert environ["HTTPS"] == "on"
    assert not [key for key in environ if key.startswith("SSL_")]


@pytest.mark.clause("A-CORE-08")
@pytest.mark.parametrize(
    "change",
    [{"method": None}, {"path": None}, {"method": ""}, {"path": b"/"}, {"query_string": "a=b"}],
)
async def test_a_scope_that_breaks_the_specification_is_the_servers_error(change: Any) -> None:
    host = Host(**change)
    with pytest.raises(HostError):
        await host.serve(adapter(lambda *_: pytest.fail("called")))
    assert host.sent == []


@pytest.mark.clause("H-HOP-04", "D-14", "H-TRL-01", "A-EXT-09")
async def test_an_upgrade_passes_as_information_and_nothing_switches() -> None:
    headers = [(b"upgrade", b"h2c"), (b"connection", b"upgrade"), (b"trailer", b"x-sum")]
    environ = await environ_of(
        headers=headers, extensions=extensions("http.response.trailers", "http.response.debug")
    )
    assert (environ["HTTP_UPGRADE"], environ["HTTP_CONNECTION"]) == ("h2c", "upgrade")
    assert "HTTP_X_SUM" not in environ
