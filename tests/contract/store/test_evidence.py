"""What is stored about one key, as the gate reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.activity import Activity
from monitor.core.events import Outcome, Reason
from monitor.core.evidence import KeyEvidence, OpenIncident, RequestCounts
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.errors import NotFound
from monitor.ports import Partition, Store
from tests.contract.store.factories import (
    NEW,
    OLD,
    T0,
    Feed,
    event,
    failure,
    incident,
    key,
    registered,
    rollover,
)

NAME = "billing-2026-05"


def evidence(store: Store, now_ms: int = T0 + DAY_MS, *, name: str = NAME) -> KeyEvidence:
    with store.snapshot() as snapshot:
        return snapshot.key(name, now_ms)


def test_a_key_without_traffic_has_no_callers(store: Store) -> None:
    registered(store)
    found = evidence(store)
    assert (found.key, found.state) == ("billing-api", "overlap")
    assert (found.callers, found.incidents, found.changes) == ((), (), ())
    assert found.never_used_acknowledged_by is None


def test_every_caller_of_every_version_is_there_whatever_its_age(store: Store) -> None:
    registered(store, keys=(key(), key("other", old=["o1"], new=["o2"])))
    Feed(store).flush(
        [
            event(T0 - 700 * DAY_MS, client="yearly"),
            event(T0, source=None),
            failure(T0, client=None),
            event(T0, region="us"),
            event(T0, credential="o1"),
        ]
    )
    callers = {(each.credential, each.client, each.source, each.region) for each in evidence(store).callers}
    assert callers == {
        (OLD, "yearly", "prod", "eu"),
        (OLD, "acme", None, "eu"),
        (NEW, None, "prod", "eu"),
        (OLD, "acme", "prod", "us"),
    }


def test_a_callers_facts_tell_accepted_served_and_rejected_apart(store: Store) -> None:
    registered(store)
    Feed(store).flush(
        [
            event(T0 + 10, count=2),
            event(T0 + 20, reason=Reason.RATE_LIMITED),
            event(T0 + 5, ts_suspect=True),
            event(T0 + 30, outcome=Outcome.FAILURE, reason=Reason.EXPIRED),
            event(T0 + 40, outcome=Outcome.FAILURE, reason=Reason.FORBIDDEN, count=3),
        ],
        arrival_ms=T0 + 99,
    )
    ((caller),) = evidence(store).callers
    facts = caller.facts
    assert (facts.accepted, facts.served, facts.rejected, facts.version_rejected) == (4, 3, 4, 1)
    assert (facts.first_accepted_ms, facts.last_accepted_ms) == (T0 + 5, T0 + 20)
    assert (facts.first_served_ms, facts.last_served_ms) == (T0 + 5, T0 + 10)
    assert (facts.first_rejected_ms, facts.last_rejected_ms, facts.last_version_rejected_ms) == (
        T0 + 30,
        T0 + 40,
        T0 + 30,
    )
    assert (facts.last_arrival_ms, facts.last_suspect_ms) == (T0 + 99, T0 + 99)


def test_a_callers_days_come_in_order_and_merge_whatever_the_order_of_arrival(store: Store) -> None:
    registered(store)
    feed = Feed(store)
    feed.flush([event(T0 + 3 * DAY_MS + 7)])
    feed.flush([event(T0 + HOUR_MS, count=2), event(T0 - 50 * DAY_MS)])
    Feed(store, Partition("gw", 1)).flush([event(T0 + 5)])
    (caller,) = evidence(store).callers
    first_day = T0 // DAY_MS
    assert [
        (day.day - first_day, day.first_ms - T0, day.last_ms - T0, day.uses, day.slots) for day in caller.activity
    ] == [
        (-50, -50 * DAY_MS, -50 * DAY_MS, 1, 1),
        (0, 5, HOUR_MS, 3, 0b101),
        (3, 3 * DAY_MS + 7, 3 * DAY_MS + 7, 1, 1),
    ]


def test_a_caller_that_was_only_rejected_has_no_days(store: Store) -> None:
    registered(store)
    Feed(store).flush([failure()])
    (caller,) = evidence(store).callers
    assert list(caller.activity) == list(Activity())


def test_requests_of_the_last_day_are_counted_per_credential_rate_limiting_is_no_rejection(store: Store) -> None:
    registered(store)
    now_ms = T0 + 5 * DAY_MS
    Feed(store).flush(
        [
            event(now_ms - 26 * HOUR_MS, count=100),
            event(now_ms - 20 * HOUR_MS, count=2),
            event(now_ms - HOUR_MS, outcome=Outcome.FAILURE, reason=Reason.EXPIRED, count=4),
            failure(now_ms - 2 * HOUR_MS, count=5),
            failure(now_ms - HOUR_MS, reason=Reason.RATE_LIMITED, count=50),
            event(now_ms - HOUR_MS, credential=NEW, reason=Reason.RATE_LIMITED),
        ]
    )
    assert evidence(store, now_ms).last_day == {
        OLD: RequestCounts(accepted=2, rejected=4),
        NEW: RequestCounts(accepted=1, rejected=5),
    }


def test_requests_of_the_week_before_the_start_are_the_old_versions_baseline(store: Store) -> None:
    registered(store)
    feed = Feed(store)
    feed.flush(
        [
            event(T0 - 8 * DAY_MS, count=100),
            event(T0 - 6 * DAY_MS, count=3),
            event(T0 - HOUR_MS, outcome=Outcome.FAILURE, reason=Reason.FORBIDDEN),
            event(T0 + HOUR_MS, count=1000),
        ]
    )
    assert evidence(store).before_start[OLD] == RequestCounts(accepted=3, rejected=1)
    feed.flush([event(T0 - 2 * DAY_MS)])
    assert evidence(store).before_start[OLD] == RequestCounts(accepted=4, rejected=1), "late arrivals count too"


def test_open_incidents_of_the_key_are_evidence_and_closed_ones_are_not(store: Store) -> None:
    registered(store, keys=(key(), key("other", old=["o1"], new=["o2"])))
    with store.snapshot(write=True) as snapshot:
        snapshot.put_incident(incident())
        snapshot.put_incident(incident("i-2", key="other"))
        snapshot.put_incident(incident("i-3", closed_at_ms=T0 + 5))
    assert evidence(store).incidents == (
        OpenIncident(
            incident="i-1",
            version=2,
            cause="propagation_delay",
            opened_at_ms=T0,
            summary="v2 is rejected at 1 of 3 gateways",
            holds_gate=True,
        ),
    )


def test_the_evidence_of_many_rollovers_is_that_of_each(store: Store) -> None:
    keys = (key(), key("other", old=["o1"], new=["o2"]))
    rollovers = (rollover(), rollover("second", started_at_ms=T0 + DAY_MS), rollover("other-1", key="other"))
    registered(store, keys=keys, rollovers=rollovers)
    Feed(store).flush([event(T0 + 1), failure(T0 + 2), event(T0 + 3, credential="o1"), event(T0 - DAY_MS)])
    names = [each.id for each in rollovers]
    with store.snapshot() as snapshot:
        many = snapshot.keys(names, T0 + 2 * DAY_MS)
        assert {name: _comparable(each) for name, each in many.items()} == {
            name: _comparable(snapshot.key(name, T0 + 2 * DAY_MS)) for name in names
        }
    assert [each.credential for each in many["other-1"].callers] == ["o1"]


def _comparable(found: KeyEvidence) -> KeyEvidence:
    return replace(found, callers=tuple(sorted(found.callers, key=repr)))


def test_an_unknown_rollover_is_not_found(store: Store) -> None:
    registered(store)
    with store.snapshot() as snapshot:
        for ask in (snapshot.key, snapshot.state):
            with pytest.raises(NotFound):
                ask("nope", T0)
        with pytest.raises(NotFound):
            snapshot.keys([NAME, "nope"], T0)
