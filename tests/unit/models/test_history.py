"""What the detector counts by five minutes is what a plain list of all counts says."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from models.history import BIN_MINUTES, Ring

SIZE = 6


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 9)), max_size=30).map(sorted),
    st.integers(0, 30),
    st.integers(1, SIZE),
)
@example(counts=[(minute, 1) for minute in range(31)], later=0, bins=SIZE)  # the whole ring, from its middle on
def test_a_ring_counts_the_newest_bins(counts: list[tuple[int, int]], later: int, bins: int) -> None:
    ring = Ring(SIZE)
    for minute, count in counts:
        ring.add(minute, count)
    now = max((minute for minute, _ in counts), default=0) + later
    since = now // BIN_MINUTES - bins
    assert ring.total(now, bins) == sum(n for minute, n in counts if minute // BIN_MINUTES > since)
