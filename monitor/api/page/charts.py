"""Drawings for the status page: inline SVG, sized by attributes and coloured by classes, so that a strict CSP holds.

Each chart has a title and a description for screen readers; the numbers behind it stand in a table on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from markupsafe import Markup, escape

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, from_ms

_WIDTH, _HEIGHT = 760, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 34
_TICKS = 4
_NICE = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
_STEPS = (5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS, 2 * DAY_MS, 7 * DAY_MS, 14 * DAY_MS)
_MOST_TIMES = 8
_NAME_WIDTH, _LABEL_WIDTH = 120, 44
_SPARK_WIDTH, _SPARK_HEIGHT = 160, 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: (epoch ms, value) in order of time. `css` is its class: `old`, `new`, `other`, `failed`."""

    name: str
    css: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment worth a line: start, incident, brownout, deadline. With `until_ms` it is a stretch."""

    name: str
    css: str
    at_ms: int
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A stretch of time under one verdict."""

    verdict: str
    from_ms: int
    to_ms: int


def drain_chart(
    lines: Sequence[Line], marks: Sequence[Mark], spells: Sequence[Spell], *, span: tuple[int, int], title: str
) -> Markup:
    """Return the drain curve: requests by version over time, annotated, above a ribbon of verdicts. `span` in ms."""
    top = _nice_top(max((value for line in lines for _, value in line.points), default=0.0))
    from_ms_, to_ms_ = span
    length = max(to_ms_ - from_ms_, 1)

    def x(at_ms: int) -> float:
        inside = min(max(at_ms, from_ms_), to_ms_)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (inside - from_ms_) / length

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(
            f'<text class="axis" x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{short(value)}</text>'
        )
    for number, (at_ms, label) in enumerate(_times(from_ms_, to_ms_)):
        # On a phone every second one is left out.
        css = "axis" if number % 2 == 0 else "axis minor"
        anchor = "end" if x(at_ms) > _WIDTH - _RIGHT - _LABEL_WIDTH / 2 else "middle"
        parts.append(f'<text class="{css}" x="{x(at_ms):.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{label}</text>')
    parts += [_mark(mark, x, from_ms_, to_ms_) for mark in marks]
    for line in lines:
        if line.points:
            path = "L".join(f"{x(ms):.1f} {y(value):.1f}" for ms, value in line.points)
            left, right = x(line.points[0][0]), x(line.points[-1][0])
            css, name = escape(line.css), escape(line.name)
            parts.append(f'<path class="area {css}" d="M{left:.1f} {y(0):.1f}L{path}L{right:.1f} {y(0):.1f}Z"/>')
            parts.append(f'<path class="curve {css}" d="M{path}"><title>{name}</title></path>')
    for spell in spells:
        if spell.to_ms > from_ms_:
            left = x(spell.from_ms)
            width = max(x(spell.to_ms) - left, 1.0)
            parts.append(
                f'<rect class="spell {escape(spell.verdict.lower())}" x="{left:.1f}" y="{_HEIGHT - _BOTTOM + 3}" '
                f'width="{width:.1f}" height="6"><title>{escape(spell.verdict)}</title></rect>'
            )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text in it was escaped above


def _mark(mark: Mark, x: Callable[[int], float], from_ms_: int, to_ms_: int) -> str:
    if (mark.until_ms or mark.at_ms) < from_ms_ or mark.at_ms > to_ms_:
        return ""
    left = x(mark.at_ms)
    css, name = escape(mark.css), escape(mark.name)
    if mark.until_ms is not None:
        width = max(x(mark.until_ms) - left, 2.0)
        height = _HEIGHT - _TOP - _BOTTOM
        # Beside the stretch's end, if it would leave the picture.
        anchor, at = ("end", left + width - 4) if left > _WIDTH - _NAME_WIDTH else ("start", left + 4)
        return (
            f'<rect class="stretch {css}" x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{height}">'
            f"<title>{name}</title></rect>"
            f'<text class="mark-name {css}" x="{at:.1f}" y="{_TOP + 11}" text-anchor="{anchor}">{name}</text>'
        )
    anchor, shift = ("end", -4) if left > _WIDTH - _NAME_WIDTH else ("start", 4)
    return (
        f'<line class="mark {css}" x1="{left:.1f}" x2="{left:.1f}" y1="{_TOP - 8}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text class="mark-name" x="{left + shift:.1f}" y="{_TOP - 10}" text-anchor="{anchor}">{name}</text>'
    )


def strip(days: Sequence[float], *, title: str) -> Markup:
    """Return a rhythm strip: one cell a day, oldest first, darker where more was used."""
    most = max(days, default=0.0) or 1.0
    levels: dict[int, list[int]] = {}
    for index, value in enumerate(days):
        levels.setdefault(0 if not value else 1 + min(int(3 * value / most), 3), []).append(index)
    cells = "".join(
        f'<path class="use{level}" d="{"".join(f"M{7 * index + 3} 0v14" for index in indexes)}"/>'
        for level, indexes in sorted(levels.items())
    )
    width = max(len(days) * 7, 7)
    return Markup(  # noqa: S704 - only numbers, and a title escaped here
        f'<svg class="strip" viewBox="0 0 {width} 14" width="{width}" height="14" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{cells}</svg>'
    )


def spark(lines: Sequence[tuple[str, Sequence[float]]], *, title: str) -> Markup:
    """Return small curves without axes, each (css, values) on one scale."""
    top = max((value for _, values in lines for value in values), default=0.0) or 1.0
    parts = []
    for css, values in lines:
        step = _SPARK_WIDTH / max(len(values) - 1, 1)
        path = "L".join(
            f"{at * step:.1f} {_SPARK_HEIGHT - 2 - (_SPARK_HEIGHT - 4) * v / top:.1f}" for at, v in enumerate(values)
        )
        if len(values) > 1:
            parts.append(
                f'<path class="area {escape(css)}" d="M0 {_SPARK_HEIGHT}L{path}L{_SPARK_WIDTH} {_SPARK_HEIGHT}Z"/>'
            )
            parts.append(f'<path class="curve {escape(css)}" d="M{path}"/>')
    return Markup(  # noqa: S704 - only numbers, and texts escaped here
        f'<svg class="spark" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def bar(share: float, *, css: str, title: str) -> Markup:
    """Return a progress bar of a share from 0 to 1."""
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    return Markup(  # noqa: S704 - only numbers, and texts escaped here
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f'<title>{escape(title)}</title><rect class="bar-back" width="100" height="8"/>'
        f'<rect class="bar-front {escape(css)}" width="{width}" height="8"/></svg>'
    )


def short(value: float) -> str:
    """Return a number as an axis shows it.

    >>> short(0.5), short(1500), short(2_000_000)
    ('0.5', '1.5k', '2M')
    """
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _nice_top(most: float) -> float:
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in _NICE if step * power >= most)


def _times(from_ms_: int, to_ms_: int) -> list[tuple[int, str]]:
    span = to_ms_ - from_ms_
    step = next((each for each in _STEPS if span / each <= _MOST_TIMES), 28 * DAY_MS)
    first = -(-from_ms_ // step) * step
    form = "%H:%M" if step < DAY_MS else "%d %b"
    return [(at_ms, f"{from_ms(at_ms):{form}}") for at_ms in range(first, to_ms_ + 1, step)]
