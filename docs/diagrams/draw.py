"""Draw the diagrams of the documentation: ``python docs/diagrams/draw.py``.

Each is drawn twice, for light pages and for dark ones, beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

LANE = 208  # from one line of life to the next
MARGIN = 104
ROW = 40
HEAD = 92


@dataclass(frozen=True)
class Theme:
    """The colours of a page."""

    page: str
    text: str
    quiet: str
    line: str
    box: str
    accent: str
    band: str


THEMES = {
    "light": Theme("#ffffff", "#1f2328", "#59636e", "#b4bcc6", "#eef2f6", "#0b6cbf", "#f2f7fc"),
    "dark": Theme("#131416", "#f0f6fc", "#9ea7b3", "#4b525b", "#22262c", "#5aabf0", "#172230"),
}


@dataclass(frozen=True)
class Lane:
    """A party, and where it runs."""

    name: str
    runs_in: str


@dataclass(frozen=True)
class Arrow:
    """What one party says to another; ``returns`` for the answer to a call."""

    source: int
    target: int
    text: str
    returns: bool = False
    hop: bool = False
    """Whether it crosses from one thread into another."""


@dataclass(frozen=True)
class Note:
    """What a party does by itself."""

    lane: int
    text: str


@dataclass(frozen=True)
class Band:
    """Steps that happen only sometimes, or again and again."""

    text: str
    steps: Sequence[Arrow | Note]


@dataclass(frozen=True)
class Diagram:
    """The steps between some parties, from top to bottom."""

    title: str
    lanes: Sequence[Lane]
    steps: Sequence[Arrow | Note | Band]


@dataclass(frozen=True)
class Module:
    """A place that a request comes through: a file, or a party outside."""

    name: str
    subject: str
    outside: bool = False


@dataclass(frozen=True)
class Way:
    """A request's way through one direction, from the left to the right.

    The line between event loop and threads is behind ``line`` modules.
    """

    title: str
    modules: Sequence[Module]
    line: int
    sides: tuple[str, str]
    between: str


WSGI_TO_ASGI = Diagram(
    "A request through WsgiToAsgi",
    [
        Lane("ASGI server", "event loop"),
        Lane("WsgiToAsgi", "event loop"),
        Lane("worker", "a thread of the pool"),
        Lane("WSGI application", "the same thread"),
    ],
    [
        Arrow(0, 1, "app(scope, receive, send)"),
        Note(1, "scope → environ, or 400"),
        Arrow(1, 0, "await receive()"),
        Arrow(0, 1, "http.request", returns=True),
        Arrow(1, 2, "run, in a copy of the context", hop=True),
        Arrow(2, 3, "app(environ, start_response)"),
        Arrow(3, 2, "start_response(status, headers)"),
        Note(2, "recorded; nothing is sent yet"),
        Band(
            "only if the body did not come as one message",
            [
                Arrow(3, 2, "wsgi.input.read(size)"),
                Arrow(2, 1, "the window has room", hop=True),
                Arrow(1, 0, "await receive()"),
                Arrow(0, 1, "http.request", returns=True),
                Arrow(1, 2, "bytes, into the window", hop=True),
            ],
        ),
        Band(
            "for each block",
            [
                Arrow(3, 2, "block", returns=True),
                Arrow(2, 1, "into the window", hop=True),
                Arrow(1, 0, "send(http.response.start), once"),
                Arrow(1, 0, "send(http.response.body)"),
                Note(1, "hears of http.disconnect"),
            ],
        ),
        Arrow(2, 1, "the end of the body", hop=True),
        Arrow(1, 0, "send(…, more_body=False)"),
        Arrow(2, 3, "close()"),
        Arrow(2, 1, "done, or an error", hop=True),
    ],
)

ASGI_TO_WSGI = Diagram(
    "A request through AsgiToWsgi",
    [
        Lane("WSGI server", "its thread"),
        Lane("AsgiToWsgi", "the same thread"),
        Lane("task", "the background loop"),
        Lane("ASGI application", "the same task"),
    ],
    [
        Arrow(0, 1, "app(environ, start_response)"),
        Note(1, "environ → scope, or 400"),
        Arrow(1, 0, "wsgi.input.read(), if small"),
        Arrow(1, 2, "start, in a copy of the context", hop=True),
        Arrow(2, 3, "await app(scope, receive, send)"),
        Band(
            "as often as it receives",
            [
                Arrow(3, 2, "await receive()"),
                Arrow(2, 1, "read a part, if there is more", hop=True),
                Arrow(1, 0, "wsgi.input.read(65536)"),
                Arrow(1, 2, "its bytes", hop=True),
                Arrow(2, 3, "http.request", returns=True),
            ],
        ),
        Arrow(3, 2, "send(http.response.start)"),
        Note(2, "kept until the first body"),
        Arrow(3, 2, "send(http.response.body)"),
        Arrow(2, 1, "head and first block", hop=True),
        Arrow(1, 0, "start_response(status, headers)"),
        Arrow(1, 0, "a list, or an iterator", returns=True),
        Band(
            "for each further block",
            [
                Arrow(0, 1, "next()"),
                Arrow(3, 2, "send(http.response.body)"),
                Note(2, "send waits while the window is full"),
                Arrow(2, 1, "block", hop=True),
                Arrow(1, 0, "block", returns=True),
            ],
        ),
        Arrow(0, 1, "close()"),
        Arrow(1, 2, "the end, or http.disconnect", hop=True),
        Note(3, "background work goes on"),
    ],
)

WAYS = [
    Way(
        "_wsgi_on_asgi/",
        [
            Module("ASGI server", "scope, receive, send", outside=True),
            Module("adapter.py", "WsgiToAsgi"),
            Module("request_on_loop.py", "AsgiRequest"),
            Module("job_in_thread.py", "WorkerJob"),
            Module("call_in_thread.py", "WsgiCall"),
            Module("WSGI application", "environ, start_response", outside=True),
        ],
        3,
        ("event loop", "thread"),
        "response_channel.py, input.py",
    ),
    Way(
        "_asgi_on_wsgi/",
        [
            Module("WSGI server", "environ, start_response", outside=True),
            Module("adapter.py", "AsgiToWsgi"),
            Module("request_in_thread.py", "WsgiRequest"),
            Module("call_on_loop.py", "Call"),
            Module("http_on_loop.py", "HttpCall"),
            Module("ASGI application", "scope, receive, send", outside=True),
        ],
        3,
        ("thread", "event loop"),
        "thread_tasks.py, response_on_loop.py",
    ),
]

DIAGRAMS = {"wsgi-to-asgi": WSGI_TO_ASGI, "asgi-to-wsgi": ASGI_TO_WSGI}


_HEADS = """<defs>
<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
orient="auto">
<path d="M0,0.8 L7,4 L0,7.2 z"/></marker>
<marker id="hop" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"
orient="auto">
<path class="of-hop" d="M0,0.8 L7,4 L0,7.2 z"/></marker>
</defs>"""


def draw(diagram: Diagram, theme: Theme) -> str:
    """Return a diagram as SVG."""
    width = 2 * MARGIN + LANE * (len(diagram.lanes) - 1)
    body: list[str] = []
    y = HEAD + 14
    for step in diagram.steps:
        if isinstance(step, Band):
            height = 30 + ROW * len(step.steps)
            body.append(
                f'<rect class="band" x="8" y="{y}" width="{width - 16}" height="{height}" rx="6"/>'
            )
            body.append(_text(20, y + 19, step.text, "quiet"))
            y += 30
            for inner in step.steps:
                body += _step(inner, y)
                y += ROW
            y += 10
        else:
            body += _step(step, y)
            y += ROW
    height = y + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"',
            f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
            f'<title id="title">{escape(diagram.title)}</title>',
            f"<style>{_style(theme)}</style>",
            _HEADS,
            f'<rect class="page" width="{width}" height="{height}"/>',
            *(part for at, lane in enumerate(diagram.lanes) for part in _lane(at, lane, height)),
            *body,
            "</svg>\n",
        ]
    )


_BOX, _GAP, _WAY = 158, 24, 190


def draw_ways(ways: Sequence[Way], theme: Theme) -> str:
    """Return a map of the modules that requests come through, as SVG."""
    columns = len(ways[0].modules)
    width, height = 32 + columns * _BOX + (columns - 1) * _GAP, _WAY * len(ways)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"',
            f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
            '<title id="title">The ways of requests through the modules</title>',
            f"<style>{_style(theme)}</style>",
            _HEADS,
            f'<rect class="page" width="{width}" height="{height}"/>',
            *(part for at, way in enumerate(ways) for part in _way(way, _WAY * at)),
            "</svg>\n",
        ]
    )


def _way(way: Way, top: int) -> Iterator[str]:
    yield _text(16, top + 26, way.title, "name")
    border = 16 + way.line * (_BOX + _GAP) - _GAP / 2
    for x, side in ((border - 24, way.sides[0]), (border + 24, way.sides[1])):
        yield _text(x, top + 26, side, "quiet", "end" if x < border else "start")
    yield f'<line class="life" x1="{border}" x2="{border}" y1="{top + 10}" y2="{top + 142}"/>'
    yield _text(border, top + 160, way.between, "quiet", "middle")
    for at, module in enumerate(way.modules):
        x, y = 16 + at * (_BOX + _GAP), top + 52
        shape = "life" if module.outside else "box"
        yield f'<rect class="{shape}" fill="none" x="{x}" y="{y}" '
        yield f'width="{_BOX}" height="58" rx="6"/>'
        yield _text(x + _BOX / 2, y + 25, module.name, "" if module.outside else "file", "middle")
        yield _text(x + _BOX / 2, y + 45, module.subject, "quiet", "middle")
        if at:
            hop = "hop" if at == way.line else "arrow"
            yield f'<line class="{hop}" x1="{x - _GAP}" x2="{x}" y1="{y + 29}" y2="{y + 29}"/>'


def _style(theme: Theme) -> str:
    return f"""
  text {{ font: 12.5px system-ui, sans-serif; fill: {theme.text} }}
  text, .band {{ paint-order: stroke }}
  path {{ fill: {theme.quiet} }}
  .page {{ fill: {theme.page} }}
  .box {{ fill: {theme.box}; stroke: {theme.line} }}
  .band {{ fill: {theme.band}; fill-opacity: 0.75; stroke: {theme.line}; stroke-dasharray: 2 3 }}
  .life {{ stroke: {theme.line}; stroke-dasharray: 4 4 }}
  .name {{ font-weight: 600; font-size: 14px }}
  .file {{ font-weight: 600 }}
  .quiet {{ fill: {theme.quiet}; font-size: 12px }}
  .arrow {{ stroke: {theme.quiet}; stroke-width: 1.3; marker-end: url(#head) }}
  .hop {{ stroke: {theme.accent}; stroke-width: 2; marker-end: url(#hop) }}
  .of-hop {{ fill: {theme.accent} }}
  .returns {{ stroke-dasharray: 5 3 }}
"""


def _lane(at: int, lane: Lane, height: int) -> Iterator[str]:
    x = _x(at)
    yield f'<line class="life" x1="{x}" x2="{x}" y1="{HEAD - 12}" y2="{height - 8}"/>'
    yield f'<rect class="box" x="{x - 84}" y="20" width="168" height="58" rx="6"/>'
    yield _text(x, 44, lane.name, "name", "middle")
    yield _text(x, 64, lane.runs_in, "quiet", "middle")


def _step(step: Arrow | Note, y: int) -> Iterator[str]:
    if isinstance(step, Note):
        width = 7.4 * len(step.text) + 16
        x = _x(step.lane)
        yield f'<rect class="box" x="{x - width / 2:.1f}" y="{y + 6}" '
        yield f'width="{width:.1f}" height="26" rx="4"/>'
        yield _text(x, y + 23, step.text, "", "middle")
        return
    start, end = _x(step.source), _x(step.target)
    style = f"{'hop' if step.hop else 'arrow'}{' returns' if step.returns else ''}"
    yield f'<line class="{style}" x1="{start}" x2="{end}" y1="{y + 28}" y2="{y + 28}"/>'
    yield _text((start + end) / 2, y + 20, step.text, "", "middle")


def _x(lane: int) -> int:
    return MARGIN + LANE * lane


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    attributes = f' class="{style}"' if style else ""
    if anchor != "start":
        attributes += f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(text)}</text>'


def files() -> dict[Path, str]:
    """Return what each file holds."""
    return {
        Path(__file__).with_name(f"{name}-{scheme}.svg"): svg
        for scheme, theme in THEMES.items()
        for name, svg in {
            "ways": draw_ways(WAYS, theme),
            **{name: draw(diagram, theme) for name, diagram in DIAGRAMS.items()},
        }.items()
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
