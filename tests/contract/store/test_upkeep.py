"""Keeping the store small and well: what is folded, what is dropped, what never is."""

from __future__ import annotations

import itertools
import random

import pytest

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.windows import UsageKey
from monitor.ports import Retention, Store
from tests.contract.store.factories import OLD, T0, Feed, event, failure, registered, reject
from tests.contract.store.worlds import World

NOW = T0 + 30 * DAY_MS


def test_old_fine_buckets_become_hours_and_every_sum_stays(store: Store) -> None:
    registered(store)
    moments = [0, 5, MINUTE_MS, 59 * MINUTE_MS, HOUR_MS, 20 * DAY_MS]
    feed = Feed(store)
    feed.flush([event(T0 + each) for each in moments])
    feed.flush([event(T0 + 7)], fine=frozenset())
    before = store.usage_series("billing-api", from_ms=0, to_ms=NOW, step_ms=HOUR_MS)
    removed = store.prune(Retention(), now_ms=NOW)
    assert store.usage_series("billing-api", from_ms=0, to_ms=NOW, step_ms=HOUR_MS) == before
    cell = UsageKey(T0, 3600, OLD, "edge-1", "eu", "success", "ok")
    assert dict(store.usage_cells(from_ms=0, to_ms=NOW)) == {
        cell: 5,
        cell._replace(bucket_ms=T0 + HOUR_MS): 1,
        cell._replace(bucket_ms=T0 + 20 * DAY_MS, bucket_seconds=60): 1,
    }
    assert sum(removed.values()) > 0


def test_what_arrives_late_for_a_folded_hour_is_folded_the_next_time(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(T0)])
    store.prune(Retention(), now_ms=NOW)
    feed.flush([event(T0 + MINUTE_MS, count=2)])
    assert sum(count for _, count in store.usage_cells(from_ms=0, to_ms=NOW)) == 3
    store.prune(Retention(), now_ms=NOW)
    assert [count for _, count in store.usage_cells(from_ms=0, to_ms=NOW)] == [3]


def test_callers_and_their_days_are_never_dropped(store: Store) -> None:
    registered(store)
    Feed(store).flush([event(T0 - 900 * DAY_MS), event(T0 - 500 * DAY_MS), event(T0)])
    with store.snapshot() as snapshot:
        before = [(each.facts, list(each.activity)) for each in snapshot.key("billing-2026-05", T0).callers]
        before_text = repr(before)
    store.prune(Retention(), now_ms=NOW)
    with store.snapshot() as snapshot:
        after = [(each.facts, list(each.activity)) for each in snapshot.key("billing-2026-05", T0).callers]
    assert repr(after) == before_text
    assert len(after[0][1]) == 3


def test_days_that_arrive_after_older_ones_were_put_away_join_them(store: Store) -> None:
    registered(store)
    feed = Feed(store)
    feed.flush([event(T0 - 300 * DAY_MS), event(T0 - 200 * DAY_MS)])
    store.prune(Retention(), now_ms=NOW)
    feed.flush([event(T0 - 300 * DAY_MS + HOUR_MS), event(T0 - 250 * DAY_MS)])
    store.prune(Retention(), now_ms=NOW)
    with store.snapshot() as snapshot:
        (caller,) = snapshot.key("billing-2026-05", T0).callers
    first = T0 // DAY_MS - 300
    assert [(day.day - first, day.uses, day.slots) for day in caller.activity] == [
        (0, 2, 0b101),
        (50, 1, 1),
        (100, 1, 1),
    ]
    (row,) = store.caller_rows("billing-api")
    assert row.longest_gap_seconds == (50 * DAY_MS) // 1000, "upkeep makes it exact"


def test_details_go_by_their_age_and_hourly_counts_of_rejects_stay(store: Store) -> None:
    feed = Feed(store)
    feed.flush([failure(T0), failure(NOW)], rejects=[reject(2), reject(3, arrival_ms=NOW)])
    store.prune(Retention(rejects_ms=10 * DAY_MS), now_ms=NOW)
    assert [cell.minute_ms for cell, _ in store.failure_cells(from_ms=0, to_ms=2 * NOW)] == [NOW]
    assert [row.at_ms for row in store.rejects()] == [NOW]
    with store.snapshot() as snapshot:
        seen = snapshot.telemetry(NOW, fine_window_ms=DAY_MS, lookback_ms=100 * DAY_MS)
    assert sorted(each.hour_ms for each in seen.rejects) == [T0, NOW]


def test_coarse_buckets_go_when_they_are_too_old(store: Store) -> None:
    Feed(store).flush([event(T0, credential="x"), event(NOW - DAY_MS, credential="x")])
    store.prune(Retention(coarse_ms=10 * DAY_MS, fine_ms=5 * DAY_MS), now_ms=NOW)
    assert [cell.bucket_ms for cell, _ in store.usage_cells(from_ms=0, to_ms=NOW)] == [NOW - DAY_MS]


def test_long_silences_of_gateways_survive(store: Store) -> None:
    Feed(store).flush([event(T0 + int(each * HOUR_MS)) for each in (0, 0.5, 5, 29 * 24)])
    store.prune(Retention(), now_ms=NOW)
    with store.snapshot() as snapshot:
        (gateway,) = snapshot.telemetry(NOW, fine_window_ms=2 * DAY_MS, lookback_ms=100 * DAY_MS).gateways
        (wide,) = snapshot.telemetry(NOW, fine_window_ms=60 * DAY_MS, lookback_ms=100 * DAY_MS).gateways
    assert set(gateway.silences) <= set(wide.silences), "a wider window shows no less"
    assert (gateway.first_ms, gateway.last_ms) == (T0, T0 + 29 * DAY_MS)
    assert [(start - T0, end - T0) for start, end in gateway.silences] == [
        (HOUR_MS // 2, 5 * HOUR_MS),
        (5 * HOUR_MS, 29 * DAY_MS),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_silences_are_the_same_however_often_hours_were_folded_and_whatever_arrives_late(
    store: Store, seed: int
) -> None:
    dice = random.Random(seed)
    moments = [dice.randrange(30 * DAY_MS) for _ in range(400)] + [day * DAY_MS for day in range(30)]
    feed, told = Feed(store), sorted({T0 + each for each in moments})
    for number in range(4):
        feed.flush([event(T0 + each) for each in moments[number::4]])
        for days in (number * 5, number * 9):
            store.prune(Retention(gateways_ms=10 * DAY_MS), now_ms=T0 + days * DAY_MS)
    with store.snapshot() as snapshot:
        (gateway,) = snapshot.telemetry(NOW, fine_window_ms=5 * DAY_MS, lookback_ms=100 * DAY_MS).gateways
    fine_since_ms = NOW - 5 * DAY_MS
    assert gateway.silences == tuple(
        (one, two)
        for one, two in itertools.pairwise(told)
        if two - one >= (MINUTE_MS if two >= fine_since_ms else HOUR_MS)
    )


def test_the_ledger_still_tiles_after_its_neighbours_were_merged(store: Store) -> None:
    for _ in range(2):
        feed = Feed(store)
        for _ in range(5):
            feed.flush([event(), failure(credential="guess")], rejects=[reject()])
    before = store.ledger()
    store.prune(Retention(), now_ms=NOW)
    after = store.ledger()
    assert len(after) < len(before)
    assert all(one.to_offset == two.from_offset for one, two in itertools.pairwise(after))
    assert (after[0].from_offset, after[-1].to_offset) == (0, 30)
    for name in ("records", "aggregated", "unmapped", "rejected"):
        assert sum(getattr(row, name) for row in after) == sum(getattr(row, name) for row in before)
    assert [row.epoch for row in after] == sorted(row.epoch for row in after)
    with store.snapshot() as snapshot:
        assert not snapshot.telemetry(NOW, fine_window_ms=1, lookback_ms=1).ledger_faults
    Feed(store).flush([event()])


@pytest.mark.parametrize("name", ["watch", "it's \u00fc"])
def test_the_first_to_ask_leads_and_goes_on_leading(store: Store, name: str) -> None:
    assert store.lead(name)
    assert store.lead(name)
    assert store.lead("another name")


def test_a_store_answers(world: World) -> None:
    world.store.ping()
    world.another().ping()
