"""OpenTelemetry across the adapter: a span of the ASGI side is the parent of those of the app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiInstrumentation
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiInstrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, get_current_span

from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, statistics_say
from wsgi_on_asgi.host import Host, in_background

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CALL-03")]

TRACE = "0af7651916cd43dd8448eb211c80319c"  # as in the W3C recommendation "Trace Context"
PARENT = [(b"host", b"example.org"), (b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]


class Telemetry:
    """A tracer of this test only, and what it has recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    def spans(self) -> dict[str, ReadableSpan]:
        spans = self._exporter.get_finished_spans()
        assert len({span.name for span in spans}) == len(spans)
        return {span.name: span for span in spans}

    def children(self, parent: ReadableSpan) -> set[str]:
        """Return the names of the spans that were started in a span."""
        return {
            span.name
            for span in self._exporter.get_finished_spans()
            if span.parent is not None and span.parent.span_id == parent.context.span_id
        }

    def middleware(self, app: Any) -> Any:
        """Return an ASGI middleware that has one span around each request."""

        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            with self.tracer.start_as_current_span(scope["path"]) as span:
                await app(scope, receive, send)
                assert get_current_span() is span

        return middleware


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.provider.shutdown()


def spanning_app(telemetry: Telemetry, gate: Gate | None = None) -> Any:
    """Return an application with spans in the call, in its generator, and in ``close()``."""
    span = telemetry.tracer.start_as_current_span

    def app(environ: Environ, start_response: Any) -> Any:
        path = environ["PATH_INFO"]

        class Body(Blocks):
            def close(self) -> None:
                with span(f"{path} close"):
                    super().close()

        def blocks() -> Iterator[bytes]:
            with span(f"{path} generator"):
                yield b"a"
                with span(f"{path} in the generator"):
                    yield b"b"

        with span(f"{path} call"):
            if gate is not None:
                gate()
            start_response("200 OK", [TEXT])
        return Body(source=blocks())

    return app


async def test_spans_are_children_of_the_requests_span(telemetry: Telemetry) -> None:
    served = adapter(spanning_app(telemetry), threads=1)
    for path in ("/1", "/2"):
        await Host(path=path).serve(telemetry.middleware(served))
    spans = telemetry.spans()
    for path in ("/1", "/2"):
        parts = {f"{path} {part}" for part in ("call", "generator", "close")}
        assert telemetry.children(spans[path]) == parts
        assert telemetry.children(spans[f"{path} generator"]) == {f"{path} in the generator"}
    assert not get_current_span().get_span_context().is_valid


async def test_spans_of_requests_at_the_same_time_do_not_mix(telemetry: Telemetry) -> None:
    gate = Gate()
    served = adapter(spanning_app(telemetry, gate))
    hosts = [Host(path=f"/{number}") for number in range(4)]
    async with in_background(telemetry.middleware(served), hosts):
        await statistics_say(served, running=4)
        gate.open()
    spans = telemetry.spans()
    for host in hosts:
        path = host.scope["path"]
        assert telemetry.children(spans[path]) == {
            f"{path} {part}" for part in ("call", "generator", "close")
        }


@pytest.mark.clause("W-CLOSE-01", "D-30")
async def test_a_departure_ends_the_spans_of_the_application(telemetry: Telemetry) -> None:
    """The span that a generator holds open ends with its ``close``."""

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        with telemetry.tracer.start_as_current_span("generator"):
            start_response("200 OK", [TEXT])
            while True:
                yield b"x" * 1024

    host = Host(path="/endless")
    async with host.background(telemetry.middleware(adapter(app))):
        await host.until(lambda: "body" in host.types)
        host.disconnect()
    assert host.error is None
    assert telemetry.children(telemetry.spans()["/endless"]) == {"generator"}


async def test_the_instrumentations_of_both_sides_meet(telemetry: Telemetry) -> None:
    """One trace: from the client by the ASGI side and the WSGI side to the view."""
    site = flask.Flask(__name__)

    @site.get("/hello/<name>")
    def view(name: str) -> str:
        with telemetry.tracer.start_as_current_span("view"):
            return name

    FlaskInstrumentor().instrument_app(site, tracer_provider=telemetry.provider)
    served = AsgiInstrumentation(
        adapter(site), tracer_provider=telemetry.provider, exclude_spans=["receive", "send"]
    )
    host = Host(path="/hello/you", headers=PARENT)
    await host.serve(served)
    FlaskInstrumentor().uninstrument_app(site)
    assert host.body == b"you"
    spans = telemetry.spans()
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
    (server,) = [
        span
        for span in spans.values()
        if span.parent is not None and f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    ]
    assert server.kind is SpanKind.SERVER
    flask_span = spans["GET /hello/<name>"]
    assert "GET /hello/<name>" in telemetry.children(server)
    assert telemetry.children(flask_span) == {"view"}


@pytest.mark.clause("W-CLOSE-01")
async def test_the_plain_wsgi_instrumentation_is_a_child_of_the_asgi_side(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """Its span ends after the iteration, in the context in which it was started."""
    inner = WsgiInstrumentation(spanning_app(telemetry), tracer_provider=telemetry.provider)
    served = adapter(inner)
    await Host(path="/1").serve(telemetry.middleware(served))
    spans = telemetry.spans()
    wsgi = spans["GET /1"]
    assert "GET /1" in telemetry.children(spans["/1"])
    assert telemetry.children(wsgi) >= {"/1 call", "/1 generator"}
    # Whether close() is inside of it is the instrumentation's choice.
    assert "/1 close" in telemetry.children(wsgi) | telemetry.children(spans["/1"])
    assert caplog.records == []  # as there is one for each token of another context
