"""A rebalance is polled through patiently, and given up when it will never end."""

from __future__ import annotations

import pytest

from monitor.adapters.kafka_source import Rejoin


def test_outside_of_a_rebalance_nothing_is_lost_and_polls_are_as_short_as_asked() -> None:
    now = [100.0]
    rejoin = Rejoin(clock=lambda: now[0])
    now[0] += 1_000
    assert (rejoin.lost, rejoin.patience(0.25)) == (False, 0.25)
    rejoin.begin()
    rejoin.end()
    now[0] += 1_000
    assert (rejoin.lost, rejoin.patience(0.25)) == (False, 0.25)


@pytest.mark.parametrize(
    ("after", "lost", "why"),
    [(0.0, False, "it has just begun"), (15.0, False, "another member may be slow"), (15.1, True, "it never ends")],
)
def test_a_rebalance_is_lost_after_a_while(after: float, lost: bool, why: str) -> None:
    now = [100.0]
    rejoin = Rejoin(clock=lambda: now[0])
    rejoin.begin()
    now[0] += after
    assert rejoin.lost is lost, why
    assert rejoin.patience(0.25) > 0.25, "a poll that runs out of time between two answers would lose it"
    assert rejoin.patience(9.0) == 9.0
