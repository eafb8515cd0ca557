"""The result as a chart: a mark for each number, on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.report import Cell

WIDTH = 480  # so that words can be read where a phone shrinks it
MARGIN = 12
ROW = 26
NOTE = 18  # what a row of words below it is higher
LETTER = 7.4  # the width of one, about
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

# Colours after Okabe and Ito, which the colour-blind can tell apart, and a shape besides; darker
# than theirs, for a contrast of 3 with white. "ink" is the colour of the text. In the order of the
# contenders; two that are never in one chart may share one.
MARKS = {
    "gatebridge": ("ink", "circle"),
    "raw hop": ("#80868f", "bar"),
    "a2wsgi": ("#bf7f00", "square"),
    "asgiref": ("#009e73", "diamond"),
    "uvicorn": ("#c26d9c", "up"),
    "hypercorn": ("#2f93cc", "down"),
    "called on the event loop (limit)": ("#80868f", "bar"),
    "gunicorn gthread": ("#d55e00", "cross"),
    "waitress": ("#7a5cc2", "square"),
    "cheroot": ("#7a5cc2", "diamond"),
    "granian WSGI": ("#b8405e", "up"),
    "granian WSGI, 1 thread": ("#b8405e", "down"),
    "WSGI on Gunicorn": ("#d55e00", "cross"),
    "ASGI on Uvicorn": ("#c26d9c", "up"),
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
    groups = groups_of(rows)
    labels = [label for group in groups.values() for label in group]
    left, right = 2.5 * MARGIN + LETTER * max(map(len, labels)), WIDTH - MARGIN - 8

    def x_of(number: float) -> float:
        share = math.log(max(number, low) / low) / math.log(high / low)
        return left + share * (right - left)

    contenders = [name for name in MARKS if any(name in cells for cells in rows.values())]
    heading, lines = title.replace(": ", ":\n").splitlines(), _lines_of(unit)
    y = 6 + 20 * len(heading)
    legend = list(_legend(contenders, y + 8 + 16 * len(lines)))
    top = legend[-1][0] + 22
    drawn, bottom = _rows(groups, top, x_of)
    height = bottom + 30
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title description">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(unit)}</desc>',
            f"<style>{_style(theme)}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            *(_text(MARGIN, 22 + 20 * at, line, "title") for at, line in enumerate(heading)),
            *(_text(MARGIN, y + 14 + 16 * at, line, "quiet") for at, line in enumerate(lines)),
            *(part for _, part in legend),
            *_grid(x_of, ticks(low, high), (left, right), (top, bottom)),
            *drawn,
            "</svg>\n",
        ]
    )


def groups_of(rows: Rows) -> dict[str, Rows]:
    """Return the rows by how their names begin if that makes groups, and else as one."""
    groups: dict[str, dict[str, Mapping[str, Cell]]] = {}
    for row, cells in rows.items():
        group, _, label = row.partition(": ") if ": " in row else row.partition(", ")
        groups.setdefault(group, {})[label] = cells
    whole = all(len(group) > 1 and "" not in group for group in groups.values())
    return {**groups} if whole and len(groups) > 1 else {"": rows}


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
  text {{ font: 13px system-ui, sans-serif; fill: {theme.text} }}
  .page {{ fill: {theme.page} }}
  .stripe {{ fill: {theme.stripe} }}
  .title {{ font-size: 15px; font-weight: 600 }}
  .group {{ font-weight: 600 }}
  .quiet {{ fill: {theme.quiet}; font-size: 12px }}
  .grid {{ stroke: {theme.grid} }}
  .one {{ stroke: {theme.quiet}; stroke-width: 1.5 }}
  .mark {{ stroke: {theme.page}; stroke-width: 1 }}
  .ink {{ fill: {theme.text} }}
"""


def _lines_of(text: str, width: int = 66) -> list[str]:
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
        width = 30 + LETTER * len(name)
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
        yield _text(min(max(x, ends[0]), ends[1]), span[1] + 16, f"{number:g}", "quiet", "middle")


def _rows(
    groups: Mapping[str, Rows], y: int, x_of: Callable[[float], float]
) -> tuple[list[str], int]:
    """Return what the rows are drawn of, and where they end."""
    drawn: list[str] = []
    for group, rows in groups.items():
        if group:
            drawn.append(_text(MARGIN, y + 20, group, "group"))
            y += ROW
        for at, (label, cells) in enumerate(rows.items()):
            height = ROW + NOTE * any(cell.note for cell in cells.values())
            if at % 2 == 0:
                drawn.append(
                    f'<rect class="stripe" x="4" y="{y}" width="{WIDTH - 8}" height="{height}" '
                    'fill-opacity="0.6"/>'
                )
            drawn.append(_text(MARGIN, y + ROW / 2 + 4.5, label))
            drawn += _marks(cells, y + ROW / 2, x_of)
            drawn += _notes(cells, y + ROW + NOTE / 2 - 4)
            y += height
    return drawn, y


def _marks(cells: Mapping[str, Cell], y: float, x_of: Callable[[float], float]) -> Iterator[str]:
    numbers = {name: _number(cell) for name, cell in cells.items()}
    places = [(x_of(number), name) for name, number in numbers.items() if number is not None]
    for x, down, name in _apart(places):
        yield f"<g>{_mark(name, x, y + down)}"
        yield f"<title>{escape(f'{name}: {cells[name]}')}</title></g>"


def _notes(cells: Mapping[str, Cell], y: float) -> Iterator[str]:
    """Yield the words that stand for numbers, or beside them, after the marks that they are for."""
    notes: dict[str, list[str]] = {}
    for name, cell in cells.items():
        if cell.note:
            notes.setdefault(cell.note, []).append(name)
    x = MARGIN + 6.0
    for note, names in notes.items():
        for name in names:
            yield _mark(name, x, y)
            x += 14
        yield _text(x - 3, y + 4, note, "quiet")
        x += 8 + 6.6 * len(note)


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
    paint = 'class="mark ink"' if colour == "ink" else f'class="mark" fill="{colour}"'
    if shape == "circle":
        return f'<circle {paint} cx="{x:.1f}" cy="{y:g}" r="6"/>'
    points = {
        "bar": [(-1.5, -8), (1.5, -8), (1.5, 8), (-1.5, 8)],
        "square": [(-5, -5), (5, -5), (5, 5), (-5, 5)],
        "diamond": [(0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)],
        "up": [(0, -6), (6, 5), (-6, 5)],
        "down": [(0, 6), (6, -5), (-6, -5)],
        "cross": _CROSS,
    }[shape]
    drawn = " ".join(f"{x + right:.1f},{y + down:g}" for right, down in points)
    return f'<polygon {paint} points="{drawn}"/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    attributes = f' class="{style}"' if style else ""
    if anchor != "start":
        attributes += f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:g}"{attributes}>{escape(text)}</text>'
