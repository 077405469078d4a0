"""A gateway's minutes within an hour, packed: 60 x (first, last) offsets in ms; and the silences that follow from them.

A silence of an hour or more always crosses from one hour with records into another, so that hours' exact first and last
records are enough for those; shorter ones need the minutes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from monitor.core.instants import MINUTE_MS

Span = tuple[int, int]
"""Without a record: from the one before it to the one after, epoch ms."""

_MINUTES = struct.Struct("<120H")
_NEVER = 0xFFFF
_EMPTY = _MINUTES.pack(*[_NEVER, 0] * 60)


class MinuteUse(NamedTuple):
    """First and last record of one minute of the hour (0-59), as offsets in ms from its start."""

    minute: int
    first_offset: int
    last_offset: int


class Hour(NamedTuple):
    """One hour with records; `minutes` is `None` where they are no longer kept."""

    hour_ms: int
    first_ms: int
    last_ms: int
    minutes: bytes | None


def merged(packed: bytes | None, minutes: Iterable[MinuteUse]) -> bytes:
    """Return the packed minutes with these added; commutative and associative."""
    cells = list(_MINUTES.unpack(packed or _EMPTY))
    for minute, first, last in minutes:
        cells[2 * minute] = min(cells[2 * minute], first)
        cells[2 * minute + 1] = max(cells[2 * minute + 1], last)
    return _MINUTES.pack(*cells)


@lru_cache(maxsize=16_384)
def _inner(hour_ms: int, packed: bytes) -> tuple[Span, ...]:
    cells = _MINUTES.unpack(packed)
    found: list[Span] = []
    last_ms: int | None = None
    for minute in range(60):
        first = cells[2 * minute]
        if first == _NEVER:
            continue
        start_ms = hour_ms + minute * MINUTE_MS
        if last_ms is not None and start_ms + first - last_ms >= MINUTE_MS:
            found.append((last_ms, start_ms + first))
        last_ms = start_ms + cells[2 * minute + 1]
    return tuple(found)


def fine_silences(hours: Sequence[Hour], since_ms: int) -> Iterator[Span]:
    """Yield the spans of a minute or more without a record that end at or after a moment.

    `hours` are in order of time, from at least an hour before the moment on: what is shorter than an hour begins there.
    """
    before: Hour | None = None
    for hour in hours:
        if before is not None and hour.first_ms >= since_ms and hour.first_ms - before.last_ms >= MINUTE_MS:
            yield before.last_ms, hour.first_ms
        if hour.minutes is not None and hour.last_ms >= since_ms:
            yield from (each for each in _inner(hour.hour_ms, hour.minutes) if each[1] >= since_ms)
        before = hour
