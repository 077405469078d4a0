"""How far our eyes can be trusted: probes, gaps, gateways' silences, rejects, sampling, strangers."""

from __future__ import annotations

import pytest

from monitor.core.evidence import GatewayLiveness, Telemetry
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from monitor.core.registry import Registry
from monitor.ports import Partition, Probe, Store
from tests.contract.store.factories import OLD, P0, T0, Feed, event, failure, gap, registered, reject

NOW = T0 + DAY_MS


def look(store: Store, now_ms: int = NOW, *, fine_ms: int = 2 * DAY_MS, lookback_ms: int = 100 * DAY_MS) -> Telemetry:
    with store.snapshot() as snapshot:
        return snapshot.telemetry(now_ms, fine_window_ms=fine_ms, lookback_ms=lookback_ms)


def complete(store: Store) -> int | None:
    (status,) = look(store).partitions
    return status.complete_through_ms


def probe(end: int, at_ms: int) -> Probe:
    return Probe(partition=P0, end_offset=end, probed_at_ms=at_ms)


def test_an_empty_store_says_that_it_has_seen_nothing(store: Store) -> None:
    seen = look(store)
    assert seen.now_ms == NOW
    assert seen.fine_since_ms == NOW - 2 * DAY_MS
    assert seen.history_start_ms is None
    assert [seen.partitions, seen.gateways, seen.gaps, seen.rejects, seen.sampled, seen.unregistered] == [()] * 6
    assert not seen.ledger_faults
    assert not seen.replayed


def test_history_begins_with_the_earliest_event_whenever_it_arrived(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(T0)])
    feed.flush([failure(T0 - 90 * DAY_MS, credential=None)])
    assert look(store).history_start_ms == T0 - 90 * DAY_MS


def test_a_partition_is_complete_through_the_latest_probe_whose_end_was_reached(store: Store) -> None:
    feed = Feed(store)
    store.probed([probe(0, T0)], {"gw": 1})
    assert complete(store) == T0, "nothing was there, nothing is missing"
    store.probed([probe(2, T0 + 10)], {"gw": 1})
    store.probed([probe(3, T0 + 20)], {"gw": 1})
    assert complete(store) == T0, "two records wait"
    feed.flush([event(), event()])
    assert complete(store) == T0 + 10, "what had been written by then is counted, by 20 there was one more"
    store.probed([probe(3, T0 + 30)], {"gw": 1})
    assert complete(store) == T0 + 10
    feed.flush([event()])
    assert complete(store) == T0 + 30


def test_a_partition_that_nobody_reads_is_never_complete(store: Store) -> None:
    store.probed([probe(0, T0)], {"gw": 1})
    (status,) = look(store).partitions
    assert (status.next_offset, status.end_offset, status.complete_through_ms) == (None, 0, None)


def test_a_thousand_probes_of_a_lagging_partition_do_not_keep_it_from_becoming_complete(store: Store) -> None:
    feed = Feed(store)
    for number in range(200):
        store.probed([probe(number + 1, T0 + number)], {"gw": 1})
    feed.flush([event()] * 100)
    reached = complete(store)
    assert reached is not None
    assert T0 + 50 <= reached <= T0 + 99, "thinned out, not forgotten"
    feed.flush([event()] * 100)
    assert complete(store) == T0 + 199


def test_the_brokers_partition_counts_are_kept_and_an_unknown_topic_is_none(store: Store) -> None:
    store.probed([], {"gw": 3, "typo": None})
    assert dict(look(store).expected_partitions) == {"gw": 3, "typo": None}
    store.probed([], {"gw": 4})
    assert look(store).expected_partitions["gw"] == 4


def test_a_gap_is_recorded_with_the_position_that_follows_it(store: Store) -> None:
    Feed(store).flush([event()])
    claim = store.claim(P0, worker="w2", now_ms=T0)
    store.begin(claim, offset=500, identity="topic-1", now_ms=T0, gap=gap())
    Feed(store).flush([event()])
    seen = look(store)
    assert seen.gaps == (gap(),)
    assert [(row.from_offset, row.to_offset) for row in store.ledger(P0)] == [(0, 1), (500, 501)]
    assert not seen.ledger_faults, "the hole is known: it is a gap, not a fault of the ledger"


def test_a_topic_made_anew_begins_again_with_a_gap(store: Store) -> None:
    Feed(store).flush([event()] * 5)
    claim = store.claim(P0, worker="w2", now_ms=T0)
    store.begin(claim, offset=0, identity="topic-2", now_ms=T0, gap=gap(reason="recreated", from_ms=None, to_ms=None))
    again = store.claim(P0, worker="w3", now_ms=T0)
    assert (again.next_offset, again.identity, again.tail) == (0, "topic-2", None)
    Feed(store).flush([event()])
    seen = look(store)
    assert [(each.reason, each.from_ms) for each in seen.gaps] == [("recreated", None)]
    assert not seen.ledger_faults


def silences(store: Store, **given: int) -> tuple[tuple[int, int], ...]:
    (gateway,) = look(store, **given).gateways
    return tuple((start - T0, end - T0) for start, end in gateway.silences)


def test_a_minute_without_a_record_is_a_silence_and_less_is_not(store: Store) -> None:
    moments = [0, 59_999, 59_999 + 60_000, 59_999 + 60_000 + 59_999]
    Feed(store).flush([event(T0 + each) for each in moments])
    assert silences(store) == ((59_999, 119_999),)


def test_a_late_record_splits_a_silence(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(T0), event(T0 + 10 * MINUTE_MS)])
    assert silences(store) == ((0, 10 * MINUTE_MS),)
    feed.flush([event(T0 + 4 * MINUTE_MS)])
    assert silences(store) == ((0, 4 * MINUTE_MS), (4 * MINUTE_MS, 10 * MINUTE_MS))
    feed.flush([event(T0 + 4 * MINUTE_MS + each * 50 * SECOND_MS) for each in range(1, 8)])
    assert silences(store) == ((0, 4 * MINUTE_MS),)


def test_beyond_the_fine_window_only_silences_of_an_hour_or_more_are_told(store: Store) -> None:
    hours = (0, 0.5, 1.5, 24, 24.5)
    Feed(store).flush([event(T0 + int(each * HOUR_MS)) for each in hours])
    half, day = HOUR_MS // 2, 24 * HOUR_MS
    long = ((half, 3 * half), (3 * half, day))
    assert silences(store, fine_ms=DAY_MS // 2, now_ms=T0 + 2 * DAY_MS) == long
    assert silences(store, fine_ms=2 * DAY_MS) == ((0, half), *long, (day, day + half))


def test_a_late_record_splits_a_long_silence_of_long_ago(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(T0), event(T0 + 4 * HOUR_MS)])
    feed.flush([event(T0 + 2 * HOUR_MS)])
    expected = ((0, 2 * HOUR_MS), (2 * HOUR_MS, 4 * HOUR_MS))
    assert silences(store, fine_ms=HOUR_MS, now_ms=T0 + 9 * DAY_MS) == expected


def test_a_gateway_is_a_name_in_a_region_and_keeps_its_first_and_last_record(store: Store) -> None:
    Feed(store).flush(
        [
            event(T0 + 5, region="us"),
            failure(T0, credential=None),
            event(T0 + 9),
            event(T0, gateway="edge-0", region=None),
        ]
    )
    expected = {
        ("edge-0", None): (T0, T0),
        ("edge-1", "eu"): (T0, T0 + 9),
        ("edge-1", "us"): (T0 + 5, T0 + 5),
    }
    assert {(each.gateway, each.region): (each.first_ms, each.last_ms) for each in look(store).gateways} == expected
    assert sorted(map(repr, store.gateway_liveness())) == sorted(
        repr(GatewayLiveness(gateway=gateway, region=region, first_ms=first, last_ms=last))
        for (gateway, region), (first, last) in expected.items()
    )


def test_rejects_are_counted_by_hour_of_arrival_and_reason(store: Store) -> None:
    feed = Feed(store)
    feed.flush(rejects=[reject(0), reject(1, arrival_ms=T0 + 7)])
    feed.flush(rejects=[reject(2, arrival_ms=T0 + HOUR_MS + 1)])
    counted = [(each.hour_ms - T0, each.last_ms - T0, each.count, each.detail) for each in look(store).rejects]
    assert sorted(counted) == [(0, 7, 2, "not_json"), (HOUR_MS, HOUR_MS + 1, 1, "not_json")]
    assert not look(store, lookback_ms=HOUR_MS).rejects, "older than what was asked for"


def test_sampled_records_are_counted_by_hour_and_gateway(store: Store) -> None:
    Feed(store).flush([event(), event(T0 + 3, sample_rate=0.1), event(T0 + 9, sample_rate=0.5, count=7)])
    ((hour),) = look(store).sampled
    assert (hour.hour_ms, hour.last_ms, hour.count) == (T0, T0 + 9, 2)
    assert hour.detail.startswith("edge-1")


def test_successes_of_a_credential_that_nobody_registered_are_shown_with_their_callers(store: Store) -> None:
    registered(store)
    Feed(store).flush(
        [event(), event(T0 + 1, credential="legacy", client="cron", count=3), failure(credential="guess")]
    )
    (stranger,) = look(store).unregistered
    assert (stranger.credential, stranger.client, stranger.facts.accepted) == ("legacy", "cron", 3)
    assert [day.uses for day in stranger.activity] == [3]


def test_a_credential_that_never_succeeded_is_no_stranger(store: Store) -> None:
    registered(store)
    Feed(store).flush([failure()])
    store.import_registry(Registry(), source="keys.yaml", by="ana", now_ms=T0)
    assert not look(store).unregistered


def test_a_credential_registered_late_loses_no_history(store: Store) -> None:
    Feed(store).flush([event(T0 - 30 * DAY_MS), event()], registered=frozenset(), fine=frozenset())
    assert [each.credential for each in look(store).unregistered] == [OLD]
    registered(store)
    assert not look(store).unregistered
    with store.snapshot() as snapshot:
        (caller,) = snapshot.key("billing-2026-05", T0).callers
    assert caller.facts.first_accepted_ms == T0 - 30 * DAY_MS
    assert sum(point.requests for point in store.usage_series("billing-api", from_ms=0, to_ms=NOW, step_ms=DAY_MS)) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_every_partition_has_a_status_in_order(store: Store, count: int) -> None:
    for number in reversed(range(count)):
        Feed(store, Partition("gw", number)).flush([event()])
    statuses = look(store).partitions
    assert [(each.topic, each.partition, each.next_offset, each.stopped) for each in statuses] == [
        ("gw", number, 1, None) for number in range(count)
    ]
    assert list(statuses) == list(store.partition_states())
