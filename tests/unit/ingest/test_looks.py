"""Looks are remembered together, and forgotten when they are many; no count depends on either."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.aggregation import Aggregator
from monitor.core.looks import SharedLooks
from tests.unit.ingest.test_aggregation import FINE, MAPPING, REGISTERED, T, event, records

NOBODY: frozenset[str] = frozenset()


def lanes(looks: SharedLooks | None) -> list[Aggregator]:
    """Two that know the registry, and one that was begun before anything was registered."""
    known = {"registered": REGISTERED, "fine": FINE}
    return [Aggregator(MAPPING, looks=looks, **each) for each in (known, {"registered": NOBODY, "fine": NOBODY}, known)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(records, min_size=1, max_size=4)), max_size=20), st.integers(1, 9)
)
def test_remembering_together_changes_no_count(batches: list[tuple[int, list[bytes | None]]], most: int) -> None:
    alone, together = lanes(None), lanes(SharedLooks(MAPPING, most=most))
    for lane, values in batches:
        for each in (alone[lane], together[lane]):
            each.add(values, [T] * len(values), range(len(values)))
    assert [each.take() for each in together] == [each.take() for each in alone]


def test_partitions_of_a_topic_remember_together_until_the_registry_changes_or_they_are_full() -> None:
    shared = SharedLooks(MAPPING, most=2)
    first = shared.now(REGISTERED, FINE)
    aggregator = Aggregator(MAPPING, registered=REGISTERED, fine=FINE, looks=shared)
    aggregator.add([event(client="a")], [T], [0])
    assert len(first.cells) == 1
    assert shared.now(REGISTERED, FINE) is first
    assert shared.now(NOBODY, FINE) is not first
    aggregator.add([event(client="b")], [T], [1])
    assert first.full
    assert sum(aggregator.take()[0].usage.values()) == 2
    assert shared.now(REGISTERED, FINE) is not first
