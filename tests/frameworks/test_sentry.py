"""Sentry across the adapter: what the ASGI side has put into a scope is on the app's events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
import sentry_sdk
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, statistics_say
from wsgi_on_asgi.host import Host, in_background

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CALL-03")]


class Recorder(Transport):
    """Keeps events and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)

    def errors(self) -> dict[str, Any]:
        """Return the events by the text of their exceptions."""
        texts = [event["exception"]["values"][-1]["value"] for event in self.events]
        assert len(set(texts)) == len(texts)  # nothing is reported twice
        return dict(zip(texts, self.events, strict=True))


def recorder(*integrations: Any) -> Iterator[Recorder]:
    transport = Recorder()
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        transport=transport,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=integrations,
    )
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sentry() -> Iterator[Recorder]:
    yield from recorder()


@pytest.fixture
def sentry_for_flask() -> Iterator[Recorder]:
    yield from recorder(FlaskIntegration())


def tagging(app: Any) -> Any:
    """Return an ASGI application inside of Sentry's middleware, with a tag for each request."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        sentry_sdk.set_tag("path", scope["path"])
        await app(scope, receive, send)

    return SentryAsgiMiddleware(middleware)


def report(text: str) -> None:
    try:
        raise ZeroDivisionError(text)
    except ZeroDivisionError:
        sentry_sdk.capture_exception()


def reporting_app(gate: Gate | None = None) -> Any:
    """Return an application that reports an error wherever it may."""

    def app(environ: Environ, start_response: Any) -> Any:
        path = environ["PATH_INFO"]

        class Body(Blocks):
            def close(self) -> None:
                report(f"{path} close")
                super().close()

        def blocks() -> Iterator[bytes]:
            report(f"{path} generator")
            yield b"a"
            report(f"{path} generator after a block")

        sentry_sdk.set_tag("inner", path)
        report(f"{path} call")
        if gate is not None:
            gate()
        start_response("200 OK", [TEXT])
        return Body(source=blocks())

    return app


REPORTS = ["call", "generator", "generator after a block", "close"]


async def test_tags_of_the_request_are_on_each_event(sentry: Recorder) -> None:
    """With what Sentry's own middleware knows of the request; nothing is left in the thread."""
    served = adapter(reporting_app(), threads=1)
    for path in ("/1", "/2"):
        await Host(path=path).serve(tagging(served))
    await statistics_say(served, running=0)
    errors = sentry.errors()
    assert set(errors) == {f"{path} {place}" for path in ("/1", "/2") for place in REPORTS}
    for text, event in errors.items():
        path = text.partition(" ")[0]
        assert (event["tags"]["path"], event["tags"]["inner"]) == (path, path)
        assert event["request"]["url"].endswith(f"example.org{path}")
    sentry_sdk.capture_message("outside")
    assert "inner" not in sentry.events[-1].get("tags", {})


async def test_requests_at_the_same_time_keep_their_scopes_apart(sentry: Recorder) -> None:
    gate = Gate()
    served = adapter(reporting_app(gate))
    hosts = [Host(path=f"/{number}") for number in range(4)]
    async with in_background(tagging(served), hosts):
        await statistics_say(served, running=4)
        gate.open()
    errors = sentry.errors()
    assert len(errors) == len(hosts) * len(REPORTS)
    for text, event in errors.items():
        path = text.partition(" ")[0]
        assert (event["tags"]["path"], event["tags"]["inner"]) == (path, path)


@pytest.mark.clause("W-ERR-01", "D-27")
@pytest.mark.parametrize("place", ["call", "block", "close"])
async def test_an_error_that_reaches_the_server_is_reported_once(
    sentry: Recorder, place: str
) -> None:
    """By the middleware around the adapter, which sees the application's own exception."""

    class Body(Blocks):
        def close(self) -> None:
            super().close()
            if place == "close":
                raise ZeroDivisionError("of the application")

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        if place == "call":
            raise ZeroDivisionError("of the application")
        return Body(b"a", ZeroDivisionError("of the application") if place == "block" else b"b")

    with pytest.raises(ZeroDivisionError, match="of the application"):
        await Host(path="/here").serve(tagging(adapter(app)))
    event = sentry.errors()["of the application"]
    assert event["tags"]["path"] == "/here"
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["function"] in ("app", "close", "__next__")


async def test_flask_inside_and_asgi_outside_report_once(sentry_for_flask: Recorder) -> None:
    """With the integrations of both sides: a view's error is one event, with the outer tags."""
    site = flask.Flask(__name__)

    @site.get("/<name>")
    def view(name: str) -> str:
        raise ZeroDivisionError(f"of {name}")

    @site.get("/stream/<name>")
    def stream(name: str) -> flask.Response:
        def blocks() -> Iterator[str]:
            yield "a"
            report(f"stream of {name}")

        response = flask.Response(blocks())
        response.call_on_close(lambda: report(f"close of {name}"))
        return response

    served = tagging(adapter(site))
    host = Host(path="/view")
    await host.serve(served)
    assert host.status == 500
    await Host(path="/stream/view").serve(served)
    errors = sentry_for_flask.errors()
    assert {text: event["tags"]["path"] for text, event in errors.items()} == {
        "of view": "/view",
        "stream of view": "/stream/view",
        "close of view": "/stream/view",
    }
    assert errors["of view"]["transaction"] == "view"
