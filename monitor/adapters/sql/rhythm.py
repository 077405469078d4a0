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
        within = _within(last_ms - first_ms, uses, slots)
        between = None if before_ms is None else max(first_ms - before_ms, 0)
        for each in (between, within):
            if each is not None and (longest is None or each > longest):
                longest = each
        before_ms = last_ms if before_ms is None else max(before_ms, last_ms)
    return longest


def _within(span_ms: int, uses: int, slots: int) -> int | None:
    if uses <= 1:
        return None
    if uses == 2:  # noqa: PLR2004 - two uses: their distance is exact
        return span_ms
    if slots & (slots - 1) == 0:
        return min(span_ms, SLOT_MS)
    longest = 1
    empty = 0
    bits = slots >> ((slots & -slots).bit_length() - 1)
    while bits:
        if bits & 1:
            longest = max(longest, empty + 1)
            empty = 0
        else:
            empty += 1
        bits >>= 1
    return min(longest * SLOT_MS, span_ms)
