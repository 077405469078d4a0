"""A caller's longest gap from its days of use, for `v_callers`: exact between days, to half an hour within one."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.core.windows import SLOT_MS


def longest_gap_ms(days: Iterable[tuple[int, int, int, int]]) -> int | None:
    """Return the longest time between two uses, `None` where there was at most one.

    `days` are (first_ms, last_ms, uses, slots), in order of time.
    """
    longest: int | None = None
    before_ms: int | None = None
    for first_ms, last_ms, uses, slots in days:
        if before_ms is not None:
            longest = max(longest or 0, first_ms - before_ms)
        span_ms = last_ms - first_ms
        # Nearly always it is known at once that nothing within the day is longer.
        if uses > 1 and (longest is None or min(span_ms, _most(span_ms, uses, slots)) > longest):
            longest = max(longest or 0, _within(span_ms, uses, slots))
        before_ms = last_ms if before_ms is None else max(before_ms, last_ms)
    return longest


def _most(span_ms: int, uses: int, slots: int) -> int:
    """Return what a gap within a day can be at most: all its empty half hours in one stretch."""
    return span_ms if uses == 2 else (slots.bit_length() - slots.bit_count() + 1) * SLOT_MS  # noqa: PLR2004 - as below


def _within(span_ms: int, uses: int, slots: int) -> int:
    if uses == 2:  # noqa: PLR2004 - two uses: their distance is exact
        return span_ms
    empty = f"{slots:b}".strip("0").split("1")
    return min((max(map(len, empty)) + 1) * SLOT_MS, span_ms)
