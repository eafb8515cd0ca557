"""The result as a bar chart: one SVG file, for light and for dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

from benchmarks.report import Cell, Panel

COLUMN = 500
MARGIN = 24
BAR = 13
GROUP = 30  # what a group takes beside its bars
PLOT_LEFT, PLOT_RIGHT = 46, COLUMN - 62  # room for numbers beside the bars
HEAD = 84
LEAST = 0.01  # a logarithm needs more than nothing

# In the order of the contenders: those of Okabe and Ito, which the colour-blind can tell apart.
# Two that are never in one chart may share one.
COLOURS = {
    "gatebridge": "#0072b2",
    "raw hop": "#888888",
    "a2wsgi": "#e69f00",
    "asgiref": "#009e73",
    "uvicorn": "#cc79a7",
    "hypercorn": "#56b4e9",
    "gunicorn gthread": "#d55e00",
    "WSGI on Gunicorn": "#d55e00",
    "ASGI on Uvicorn": "#cc79a7",
}

STYLE = """
  svg { color-scheme: light dark }
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  text { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round }
  .page { fill: #ffffff }
  .title { font-size: 18px; font-weight: 600 }
  .panel { font-size: 14px; font-weight: 600 }
  .group { font-weight: 600 }
  .quiet, .tick { fill: #59636e }
  .tick, .number { font-size: 11px }
  .grid { stroke: #d1d9e0 }
  .base { stroke: #1f2328 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; stroke: #0d1117 }
    .page { fill: #0d1117 }
    .quiet, .tick { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .base { stroke: #f0f6fc }
  }
"""


def chart(title: str, description: str, panels: Sequence[Panel]) -> str:
    """Return the chart: panels in two columns, each on a logarithmic scale of its own."""
    bottoms = [HEAD, HEAD]
    drawn: list[str] = []
    for panel in panels:
        column = bottoms.index(min(bottoms))
        x = MARGIN + column * (COLUMN + MARGIN)
        drawn += [f'<g transform="translate({x},{bottoms[column]})">', *_panel(panel), "</g>"]
        bottoms[column] += _height(panel)
    width, height = 3 * MARGIN + 2 * COLUMN, max(bottoms)
    names = {name for panel in panels for cells in panel.groups.values() for name in cells}
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"',
            f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(description)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            _text(MARGIN, 34, title, "title"),
            *_legend(name for name in COLOURS if name in names),
            *drawn,
            "</svg>\n",
        ]
    )


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers from low to high: powers of ten, and 2 and 5 times them if few."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**exponent for exponent in exponents for step in steps]
    return [tick for tick in found if low <= tick * 1.001 and tick <= high * 1.001]


def _legend(names: Iterable[str]) -> Iterator[str]:
    x = float(MARGIN)
    for name in names:
        yield f'<rect x="{x:g}" y="50" width="12" height="12" fill="{COLOURS[name]}"/>'
        yield _text(x + 18, 60, name)
        x += 44 + 7 * len(name)


def _height(panel: Panel) -> int:
    return 70 + sum(GROUP + BAR * len(cells) for cells in panel.groups.values())


def _panel(panel: Panel) -> Iterator[str]:
    numbers = [
        max(cell.number, LEAST)
        for cells in panel.groups.values()
        for cell in cells.values()
        if cell.number is not None
    ]
    low, high = _domain([*numbers, panel.base])

    def x_of(number: float) -> float:
        share = math.log(max(number, low) / low) / math.log(high / low)
        return PLOT_LEFT + share * (PLOT_RIGHT - PLOT_LEFT)

    bottom = _height(panel) - 36
    yield _text(0, 14, panel.title, "panel")
    yield _text(0, 31, panel.unit, "quiet")
    for tick in ticks(low, high):
        x = x_of(tick)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="42" y2="{bottom}"/>'
        yield _text(x, bottom + 14, f"{tick:g}", "tick", "middle")
    x = x_of(panel.base)
    yield f'<line class="base" x1="{x:.1f}" x2="{x:.1f}" y1="42" y2="{bottom}"/>'
    y = 42
    for label, cells in panel.groups.items():
        yield _text(0, y + 18, label, "group")
        y += GROUP - 6
        for name, cell in cells.items():
            yield from _bar(name, cell, y, x_of, panel.base)
            y += BAR
        y += 6


def _domain(numbers: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a scale for the numbers: a factor of four at least, with some room."""
    low, high = min(numbers), max(numbers)
    widen = max(1.1, math.sqrt(4 * low / high))
    return low / widen, high * widen


def _bar(
    name: str, cell: Cell, y: int, x_of: Callable[[float], float], base: float
) -> Iterator[str]:
    """Draw from the base to the number, and write the number, or the words, beside it."""
    start = x_of(base)
    if cell.number is None:
        yield _text(start + 6, y + 10, f"{name}: {cell.note}", "quiet number")
        return
    end = x_of(cell.number)
    left, width = min(start, end), max(abs(end - start), 3)  # the reference has no length
    yield f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{BAR - 2}" '
    yield f'fill="{COLOURS[name]}"><title>{escape(f"{name}: {cell}")}</title></rect>'
    if end < start:
        yield _text(end - 5, y + 10, cell.text, "number", "end")
        if cell.note:
            yield _text(start + 6, y + 10, cell.note, "quiet number")
    else:
        yield _text(left + width + 5, y + 10, str(cell), "number")


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    attributes = f' class="{style}"' if style else ""
    if anchor != "start":
        attributes += f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:g}"{attributes}>{escape(text)}</text>'
