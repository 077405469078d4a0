"""The drain chart as a small picture: requests a day on the old and the new version, drawn without a library.

A PNG of two lines needs no more than `zlib`; its words (what is which, the numbers) stand in the title beside it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

from monitor.core.decision import Json

WIDTH, HEIGHT = 640, 200
_MARGIN, _THICK = 16, 2
_PAPER, _GRID = (255, 255, 255), (226, 232, 240)
_LINES = (("old", (194, 65, 12)), ("new", (37, 99, 235)))
"""Orange and blue: told apart by those who see no red and green, too."""
_GRID_LINES = 4

_Colour = tuple[int, int, int]


def drain_png(days: Sequence[Mapping[str, Json]]) -> bytes:
    """Return a PNG of `{"old": …, "new": …}` by day, oldest first; both lines share one scale from zero."""
    canvas = [bytearray(bytes(_PAPER) * WIDTH) for _ in range(HEIGHT)]
    for each in range(_GRID_LINES + 1):
        y = _MARGIN + each * (HEIGHT - 2 * _MARGIN) // _GRID_LINES
        canvas[y][3 * _MARGIN : 3 * (WIDTH - _MARGIN)] = bytes(_GRID) * (WIDTH - 2 * _MARGIN)
    values = {name: [_number(day.get(name)) for day in days] for name, _ in _LINES}
    most = max((max(each, default=0.0) for each in values.values()), default=0.0) or 1.0
    for name, colour in _LINES:
        points = [_point(at, value, len(days), most) for at, value in enumerate(values[name])]
        for begin, end in zip(points, points[1:] or points, strict=False):
            _line(canvas, begin, end, colour)
    return _png(canvas)


def _point(at: int, value: float, count: int, most: float) -> tuple[int, int]:
    x = _MARGIN + round(at * (WIDTH - 2 * _MARGIN - 1) / max(count - 1, 1))
    return x, HEIGHT - _MARGIN - round(value / most * (HEIGHT - 2 * _MARGIN))


def _line(canvas: list[bytearray], begin: tuple[int, int], end: tuple[int, int], colour: _Colour) -> None:
    steps = max(abs(end[0] - begin[0]), abs(end[1] - begin[1]), 1)
    for step in range(steps + 1):
        x = begin[0] + (end[0] - begin[0]) * step // steps
        y = begin[1] + (end[1] - begin[1]) * step // steps
        for row in range(y - _THICK + 1, y + _THICK):
            canvas[row][3 * (x - _THICK + 1) : 3 * (x + _THICK)] = bytes(colour) * (2 * _THICK - 1)


def _png(canvas: list[bytearray]) -> bytes:
    """Return the file: 8 bits a channel, RGB, no filter (https://www.w3.org/TR/png-3/)."""
    header = struct.pack("!2I5B", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in canvas), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def _number(value: Json) -> float:
    return max(float(value), 0.0) if isinstance(value, int | float) else 0.0
