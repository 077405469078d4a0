"""What people and the detector read."""

from __future__ import annotations

from monitor.core.decision import CallerState
from monitor.core.events import Outcome, Reason
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.windows import CallerGatewayKey, FailureKey, UsageKey
from monitor.ports import Partition, Propagation, Store, UsagePoint
from tests.contract.store.factories import NEW, OLD, T0, Feed, event, failure, incident, key, registered, rollover


def test_a_series_sums_versions_by_outcome_and_region_in_steps(store: Store) -> None:
    registered(store, keys=(key(old=[OLD, "cred-a1b"]), key("other", old=["o1"], new=["o2"])))
    Feed(store).flush(
        [
            event(T0 + 1),
            event(T0 + 4 * MINUTE_MS, credential="cred-a1b", count=2, gateway="edge-2"),
            event(T0 + 5 * MINUTE_MS),
            event(T0, region=None),
            failure(T0, count=3),
            event(T0, credential="o1"),
            event(T0 - 1),
            event(T0 + HOUR_MS),
        ],
        registered=frozenset({OLD, NEW, "cred-a1b", "o1", "o2"}),
        fine=frozenset({OLD, NEW, "cred-a1b"}),
    )
    points = store.usage_series("billing-api", from_ms=T0, to_ms=T0 + HOUR_MS, step_ms=5 * MINUTE_MS)
    assert sorted(points, key=repr) == sorted(
        [
            UsagePoint(T0, 1, "success", "eu", 3),
            UsagePoint(T0, 1, "success", None, 1),
            UsagePoint(T0, 2, "failure", "eu", 3),
            UsagePoint(T0 + 5 * MINUTE_MS, 1, "success", "eu", 1),
        ],
        key=repr,
    )
    assert [each.bucket_ms for each in points] == sorted(each.bucket_ms for each in points)


def test_a_series_in_hours_takes_fine_and_coarse_buckets_alike(store: Store) -> None:
    registered(store)
    feed = Feed(store)
    feed.flush([event(T0 + 59 * MINUTE_MS)], fine=frozenset())
    feed.flush([event(T0 + 59 * MINUTE_MS)])
    assert store.usage_series("billing-api", from_ms=T0, to_ms=T0 + DAY_MS, step_ms=HOUR_MS) == [
        UsagePoint(T0, 1, "success", "eu", 2)
    ]
    assert not store.usage_series("nope", from_ms=T0, to_ms=T0 + DAY_MS, step_ms=HOUR_MS)


def test_cells_are_given_for_a_stretch_of_time_and_some_credentials(store: Store) -> None:
    Feed(store).flush([event(T0), event(T0 + 5), event(T0 + HOUR_MS, credential="x"), failure(T0, credential="guess")])
    cell = UsageKey(T0, 60, OLD, "edge-1", "eu", "success", "ok")
    unmapped = UsageKey(T0, 3600, None, "edge-1", "eu", "failure", "unknown_credential")
    coarse = UsageKey(T0 + HOUR_MS, 3600, "x", "edge-1", "eu", "success", "ok")
    assert dict(store.usage_cells(from_ms=T0, to_ms=T0 + HOUR_MS + 1)) == {cell: 2, unmapped: 1, coarse: 1}
    assert dict(store.usage_cells(from_ms=T0, to_ms=T0 + HOUR_MS)) == {cell: 2, unmapped: 1}
    assert dict(store.usage_cells(from_ms=T0, to_ms=T0 + HOUR_MS, credentials=[OLD])) == {cell: 2}
    assert not store.usage_cells(from_ms=T0, to_ms=T0 + HOUR_MS, credentials=[])
    moments = [each.bucket_ms for each, _ in store.usage_cells(from_ms=0, to_ms=2 * T0)]
    assert moments == sorted(moments)


def test_failures_are_kept_in_detail_for_registered_credentials(store: Store) -> None:
    Feed(store).flush(
        [failure(T0 + 1), failure(T0 + 2, count=2), failure(T0, route=None), failure(T0, credential="guess"), event()]
    )
    detail = FailureKey(T0, NEW, "acme", "prod", "edge-1", "eu", "/v1/pay", None, "unknown_credential")
    assert dict(store.failure_cells(from_ms=T0, to_ms=T0 + 1)) == {detail: 3, detail._replace(route=None): 1}
    assert not store.failure_cells(from_ms=T0 + 1, to_ms=T0 + DAY_MS)
    assert not store.failure_cells(from_ms=T0, to_ms=T0 + 1, credentials=[OLD])


def test_where_a_caller_was_accepted_grows_with_each_use(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(T0), event(T0 + 5), event(T0, gateway="edge-2"), failure(), event(credential="coarse")])
    feed.flush([event(T0 + 9)])
    spans = {each: (span.first_ms, span.last_ms, span.count) for each, span in store.caller_gateway_spans(since_ms=0)}
    one = CallerGatewayKey(OLD, "acme", "prod", "edge-1", "eu")
    assert spans == {one: (T0, T0 + 9, 3), one._replace(gateway="edge-2"): (T0, T0, 1)}
    assert [each for each, _ in store.caller_gateway_spans(since_ms=T0 + 9)] == [one]


def test_a_caller_of_a_version_is_one_row_over_its_credentials_and_regions(store: Store) -> None:
    registered(store, keys=(key(old=[OLD, "cred-a1b"]),))
    known = frozenset({OLD, NEW, "cred-a1b"})
    feed = Feed(store)
    feed.flush([event(T0), event(T0 + 3 * DAY_MS, credential="cred-a1b", region="us")], registered=known)
    feed.flush([failure(T0 + 5, credential=OLD), event(T0 + DAY_MS, count=4), failure(T0 + 9)], registered=known)
    with store.snapshot(write=True) as snapshot:
        snapshot.put_states({("billing-api", 1, "acme", "prod"): CallerState.DUE}, now_ms=T0)
        snapshot.put_states({("billing-api", 9, "acme", "prod"): CallerState.ACTIVE}, now_ms=T0)
    rows = {row.version: row for row in store.caller_rows("billing-api")}
    old, new = rows[1], rows[2]
    assert (old.client, old.source, old.state) == ("acme", "prod", "due")
    assert (old.first_success_ms, old.last_success_ms, old.last_failure_ms) == (T0, T0 + 3 * DAY_MS, T0 + 5)
    assert (old.successes, old.failures, old.longest_gap_seconds) == (6, 1, 2 * DAY_MS // 1000)
    assert (new.first_success_ms, new.last_failure_ms, new.successes, new.failures) == (None, T0 + 9, 0, 1)
    assert (new.longest_gap_seconds, new.state) == (None, None)
    assert not store.caller_rows("nope")


def test_callers_that_a_snapshot_has_read_make_the_same_rows(store: Store) -> None:
    registered(store, rollovers=(rollover(started_at_ms=T0),))
    Feed(store).flush([event(T0), event(T0 + DAY_MS), event(T0 + 2 * DAY_MS, credential=NEW), failure(T0 + 5)])
    with store.snapshot() as snapshot:
        read = snapshot.key(rollover().id, T0).callers
    rows = store.caller_rows("billing-api")
    assert store.caller_rows("billing-api", known=read) == rows
    old = [each for each in read if each.credential == OLD]
    assert store.caller_rows("billing-api", known=old) == [each for each in rows if each.version == 1]


def test_the_longest_gap_is_right_whatever_the_order_of_arrival(store: Store) -> None:
    registered(store)
    feed = Feed(store)
    for day in (0, 40, 10, 12):
        feed.flush([event(T0 + day * DAY_MS)])
    (row,) = store.caller_rows("billing-api")
    assert row.longest_gap_seconds in {28 * DAY_MS // 1000, 40 * DAY_MS // 1000}, "at once it may still be too long"


def test_a_state_that_is_not_given_again_stays(store: Store) -> None:
    registered(store)
    Feed(store).flush([event(), event(client="globex")])
    with store.snapshot(write=True) as snapshot:
        snapshot.put_states(
            {
                ("billing-api", 1, "acme", "prod"): CallerState.ACTIVE,
                ("billing-api", 1, "globex", "prod"): CallerState.ACTIVE,
            },
            now_ms=T0,
        )
        snapshot.put_states({("billing-api", 1, "acme", "prod"): CallerState.MIGRATED}, now_ms=T0 + 1)
    assert {row.client: row.state for row in store.caller_rows("billing-api")} == {
        "acme": "migrated",
        "globex": "active",
    }


def test_propagation_tells_where_each_version_was_first_accepted_and_rejected(store: Store) -> None:
    registered(store)
    Feed(store).flush(
        [
            event(T0 + 2 * MINUTE_MS, credential=NEW),
            event(T0 + MINUTE_MS, credential=NEW),
            failure(T0, gateway="edge-2", region=None),
            event(T0),
            event(T0, outcome=Outcome.FAILURE, reason=Reason.EXPIRED, count=2),
        ]
    )
    assert sorted(store.propagation("billing-api"), key=repr) == sorted(
        [
            Propagation(1, "edge-1", "eu", T0, T0),
            Propagation(2, "edge-1", "eu", T0 + MINUTE_MS, None),
            Propagation(2, "edge-2", None, None, T0),
        ],
        key=repr,
    )


def test_incidents_are_corrected_and_closed_in_place_and_come_newest_first(store: Store) -> None:
    with store.snapshot(write=True) as snapshot:
        snapshot.put_incident(incident())
        snapshot.put_incident(incident("i-2", key="other", opened_at_ms=T0 + 5))
        snapshot.put_incident(incident("i-3", opened_at_ms=T0 + 9))
        snapshot.put_incident(incident("i-3", opened_at_ms=T0 + 9, cause="wrong_secret", closed_at_ms=T0 + 20))
    assert [each.id for each in store.incidents()] == ["i-3", "i-2", "i-1"]
    assert [each.id for each in store.incidents(key="billing-api")] == ["i-3", "i-1"]
    assert [each.id for each in store.incidents(open_only=True)] == ["i-2", "i-1"]
    assert [each.id for each in store.incidents(limit=1)] == ["i-3"]
    assert store.incidents()[2] == incident()
    assert store.incidents()[0].cause == "wrong_secret"


def test_the_ledger_can_be_read_for_one_partition(store: Store) -> None:
    Feed(store, Partition("gw", 1)).flush([event()])
    Feed(store, Partition("gw", 0)).flush([event()])
    assert [row.partition for row in store.ledger()] == [Partition("gw", 0), Partition("gw", 1)]
    assert [row.partition for row in store.ledger(Partition("gw", 1))] == [Partition("gw", 1)]
    assert not store.ledger(Partition("gw", 2))
