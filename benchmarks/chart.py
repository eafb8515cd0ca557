"""The result as a chart: a mark for each number, on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.report import Cell

WIDTH = 720
LABELS = 212  # the width of the column of rows' names
NOTES = 250  # of the column of words, which is only there if there are any
MARGIN = 16
ROW = 26
LEAST = 0.01  # a logarithm needs more than nothing

Rows = Mapping[str, Mapping[str, Cell]]


@dataclass(frozen=True)
class Theme:
    """The colours of a page."""

    page: str
    text: str
    quiet: str
    grid: str
    stripe: str


THEMES = {
    "light": Theme("#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#f6f8fa"),
    "dark": Theme("#131416", "#f0f6fc", "#9ea7b3", "#3d444d", "#1c1f24"),
}

# Colours of Okabe and Ito, which the colour-blind can tell apart, and a shape besides. In the order
# of the contenders; two that are never in one chart may share one.
MARKS = {
    "gatebridge": ("#1f87d0", "circle"),
    "raw hop": ("#8a8f98", "bar"),
    "a2wsgi": ("#e69f00", "square"),
    "asgiref": ("#009e73", "diamond"),
    "uvicorn": ("#cc79a7", "up"),
    "hypercorn": ("#56b4e9", "down"),
    "gunicorn gthread": ("#d55e00", "cross"),
    "WSGI on Gunicorn": ("#d55e00", "cross"),
    "ASGI on Uvicorn": ("#cc79a7", "up"),
}

_CROSS = [
    *((-2, -6), (2, -6), (2, -2), (6, -2), (6, 2), (2, 2)),
    *((2, 6), (-2, 6), (-2, 2), (-6, 2), (-6, -2), (-2, -2)),
]


def chart(title: str, unit: str, rows: Rows, theme: Theme) -> str:
    """Return a chart: a line for each row, and on it a mark for each contender.

    Args:
        title: Of the chart.
        unit: What the numbers are, and which are better.
        rows: The cells by contender, by the name of the row.
        theme: Of the page that the chart is for.
    """
    numbers = [_number(cell) for cells in rows.values() for cell in cells.values()]
    low, high = domain([number for number in numbers if number is not None])
    with_notes = any(cell.note for cells in rows.values() for cell in cells.values())
    left, right = MARGIN + LABELS, WIDTH - MARGIN - 8 - (NOTES if with_notes else 0)

    def x_of(number: float) -> float:
        share = math.log(max(number, low) / low) / math.log(high / low)
        return left + share * (right - left)

    contenders = [name for name in MARKS if any(name in cells for cells in rows.values())]
    lines = _lines_of(unit)
    legend = list(_legend(contenders, 40 + 16 * len(lines)))
    top = legend[-1][0] + 18
    bottom = top + ROW * len(rows)
    height = bottom + 30
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(unit)}</desc>',
            f"<style>{_style(theme)}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            _text(MARGIN, 24, title, "title"),
            *(_text(MARGIN, 44 + 16 * at, line, "quiet") for at, line in enumerate(lines)),
            *(drawn for _, drawn in legend),
            *_grid(x_of, ticks(low, high), (left, right), (top, bottom)),
            *(
                part
                for at, (row, cells) in enumerate(rows.items())
                for part in _row(row, cells, at, top + ROW * at, x_of)
            ),
            "</svg>\n",
        ]
    )


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers from low to high: powers of ten, and 2 and 5 times them if few."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**exponent for exponent in exponents for step in steps]
    return [tick for tick in found if low <= tick * 1.001 and tick <= high * 1.001]


def domain(numbers: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a scale for the numbers and for 1: a factor of four at least."""
    low, high = min([*numbers, 1.0]), max([*numbers, 1.0])
    widen = max(1.12, math.sqrt(4 * low / high))
    return low / widen, high * widen


def _style(theme: Theme) -> str:
    return f"""
  text {{ font: 12px system-ui, sans-serif; fill: {theme.text} }}
  .page {{ fill: {theme.page} }}
  .stripe {{ fill: {theme.stripe} }}
  .title {{ font-size: 16px; font-weight: 600 }}
  .quiet {{ fill: {theme.quiet} }}
  .tick {{ fill: {theme.quiet}; font-size: 11px }}
  .grid {{ stroke: {theme.grid} }}
  .one {{ stroke: {theme.quiet}; stroke-width: 1.5 }}
  .mark {{ stroke: {theme.page}; stroke-width: 1 }}
"""


def _lines_of(text: str, width: int = 108) -> list[str]:
    """Break a text into lines of so many characters at most."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _legend(names: Sequence[str], y: int) -> Iterator[tuple[int, str]]:
    """Yield where each part of the legend is, from the top, and what it is."""
    x = float(MARGIN)
    for name in names:
        width = 34 + 7.0 * len(name)
        if x + width > WIDTH - MARGIN:
            x, y = MARGIN, y + 20
        yield y, f"{_mark(name, x + 6, y + 6)}{_text(x + 18, y + 10, name)}"
        x += width


def _grid(
    x_of: Callable[[float], float],
    numbers: Sequence[float],
    ends: tuple[float, float],
    span: tuple[int, int],
) -> Iterator[str]:
    for number in numbers:
        x = x_of(number)
        style = "one" if number == 1 else "grid"
        yield f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{span[0]}" y2="{span[1]}"/>'
        yield _text(min(max(x, ends[0]), ends[1]), span[1] + 16, f"{number:g}", "tick", "middle")


def _row(
    label: str, cells: Mapping[str, Cell], at: int, y: int, x_of: Callable[[float], float]
) -> Iterator[str]:
    if at % 2 == 0:
        width = WIDTH - 2 * MARGIN + 8
        yield f'<rect class="stripe" x="{MARGIN - 4}" y="{y}" width="{width}" height="{ROW}" '
        yield 'fill-opacity="0.6"/>'
    middle = y + ROW / 2
    yield _text(MARGIN, middle + 4, label)
    numbers = {name: _number(cell) for name, cell in cells.items()}
    places = [(x_of(number), name) for name, number in numbers.items() if number is not None]
    for x, down, name in _apart(places):
        yield f"<g>{_mark(name, x, middle + down)}"
        yield f"<title>{escape(f'{name}: {cells[name]}')}</title></g>"
    notes: dict[str, list[str]] = {}
    for name, cell in cells.items():
        if cell.note:
            notes.setdefault(cell.note, []).append(name)
    x = WIDTH - MARGIN - NOTES + 12.0
    for note, names in notes.items():
        for name in names:
            yield _mark(name, x, middle)
            x += 14
        yield _text(x - 4, middle + 4, note, "tick")
        x += 8 + 5.6 * len(note)


def _apart(places: Sequence[tuple[float, str]]) -> Iterator[tuple[float, float, str]]:
    """Yield where each mark is, from the left: one that would hide another is moved down or up."""
    last_x, last_down = -math.inf, 0.0
    for x, name in sorted(places):
        near = x - last_x < 10
        last_x, last_down = x, (5.0 if last_down <= 0 else -5.0) if near else 0.0
        yield x, last_down, name


def _number(cell: Cell) -> float | None:
    return None if cell.number is None else max(cell.number, LEAST)


def _mark(name: str, x: float, y: float) -> str:
    colour, shape = MARKS[name]
    if shape == "circle":
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:g}" r="6" fill="{colour}"/>'
    points = {
        "bar": [(-1.5, -8), (1.5, -8), (1.5, 8), (-1.5, 8)],
        "square": [(-5, -5), (5, -5), (5, 5), (-5, 5)],
        "diamond": [(0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)],
        "up": [(0, -6), (6, 5), (-6, 5)],
        "down": [(0, 6), (6, -5), (-6, -5)],
        "cross": _CROSS,
    }[shape]
    drawn = " ".join(f"{x + right:.1f},{y + down:g}" for right, down in points)
    return f'<polygon class="mark" points="{drawn}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    attributes = f' class="{style}"' if style else ""
    if anchor != "start":
        attributes += f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:g}"{attributes}>{escape(text)}</text>'
