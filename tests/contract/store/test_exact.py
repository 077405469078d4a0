"""Counts are exact whatever the order: merging is free of it, and every cell equals an independent recount."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.events import AuthEvent, Outcome, Reason
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.ports import Partition, Store
from tests.contract.store.factories import NEW, OLD, T0, Feed, event, recount, registered

_numbers = itertools.count()
_moments = st.sampled_from([0, 1, MINUTE_MS - 1, MINUTE_MS, HOUR_MS, 3 * HOUR_MS + 7, DAY_MS, 5 * DAY_MS - 1, -DAY_MS])
_outcomes = st.sampled_from(
    [
        (Outcome.SUCCESS, Reason.OK),
        (Outcome.SUCCESS, Reason.RATE_LIMITED),
        (Outcome.FAILURE, Reason.UNKNOWN_CREDENTIAL),
        (Outcome.FAILURE, Reason.FORBIDDEN),
    ]
)


@st.composite
def events(draw: st.DrawFn) -> AuthEvent:
    outcome, reason = draw(_outcomes)
    return event(
        T0 + draw(_moments),
        outcome=outcome,
        reason=reason,
        credential=draw(st.sampled_from([OLD, NEW, "stranger"])),
        client=draw(st.sampled_from(["acme", "globex", None])),
        source=draw(st.sampled_from(["prod", None])),
        gateway=draw(st.sampled_from(["edge-1", "edge-2"])),
        region=draw(st.sampled_from(["eu", None])),
        route=draw(st.sampled_from(["/v1/pay", None])),
        count=draw(st.sampled_from([1, 1, 3])),
        sample_rate=draw(st.sampled_from([1.0, 1.0, 0.5])),
        ts_suspect=draw(st.booleans()),
    )


def everything(store: Store) -> dict[str, Any]:
    """All that flushes add up to, as the ports tell it."""
    with store.snapshot() as snapshot:
        telemetry = snapshot.telemetry(T0 + 6 * DAY_MS, fine_window_ms=8 * DAY_MS, lookback_ms=20 * DAY_MS)
        evidence = snapshot.key("billing-2026-05", T0 + DAY_MS)
        callers = sorted(
            (
                (each.credential, str(each.client), str(each.source), str(each.region)),
                tuple(asdict(each.facts).items()),
                tuple(each.activity),
            )
            for each in (*evidence.callers, *telemetry.unregistered)
        )
    return {
        "usage": dict(store.usage_cells(from_ms=0, to_ms=2 * T0)),
        "failures": dict(store.failure_cells(from_ms=0, to_ms=2 * T0)),
        "caller_gateways": {each: asdict(span) for each, span in store.caller_gateway_spans(since_ms=0)},
        "callers": callers,
        "gateways": telemetry.gateways,
        "sampled": telemetry.sampled,
        "last_day": dict(evidence.last_day),
        "before_start": dict(evidence.before_start),
        "caller_rows": sorted(map(str, store.caller_rows("billing-api"))),
    }


@given(st.lists(events(), min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_split_and_partitioning_of_the_same_events_gives_the_same_rows(
    store: Store, given_events: list[AuthEvent], random: Any, chunk: int
) -> None:
    registered(store)
    tag = f"run{next(_numbers)}"
    one, other = (_tagged(given_events, f"{tag}{side}") for side in "ab")
    for each in one:
        Feed(store, Partition(f"{tag}-one", 0)).flush([each])
    random.shuffle(other)
    for number, start in enumerate(range(0, len(other), chunk)):
        Feed(store, Partition(f"{tag}-other", number % 2)).flush(other[start : start + chunk])
    assert _of(everything(store), f"{tag}a") == _of(everything(store), f"{tag}b")


def _tagged(given_events: Sequence[AuthEvent], tag: str) -> list[AuthEvent]:
    """Give the events callers and gateways of their own, so that two runs can be told apart in one store."""
    return [
        event(
            each.ts_ms,
            **{
                name: getattr(each, name)
                for name in ("outcome", "reason", "region", "route", "count", "sample_rate", "ts_suspect", "source")
            },
            client=f"{tag}{each.client}",
            gateway=f"{tag}{each.gateway}",
            credential=each.credential if each.credential != "stranger" else f"{tag}stranger",
        )
        for each in given_events
    ]


def _of(found: dict[str, Any], tag: str) -> str:
    """Return what carries the tag, without it."""
    kept = {name: sorted(repr(each) for each in _entries(value) if tag in repr(each)) for name, value in found.items()}
    return repr(kept).replace(tag, "")


def _entries(value: Any) -> list[Any]:
    return list(value.items()) if isinstance(value, dict) else list(value)


@given(st.lists(st.lists(events(), max_size=6), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cell_equals_an_independent_recount(store: Store, flushes: list[list[AuthEvent]]) -> None:
    registered(store)
    tag = f"cell{next(_numbers)}"
    all_events: list[AuthEvent] = []
    for each in flushes:
        tagged = _tagged(each, tag)
        Feed(store, Partition(tag, 0)).flush(tagged)
        all_events += tagged
    expected = recount(all_events)
    found = everything(store)
    assert {cell: n for cell, n in found["usage"].items() if tag in cell.gateway} == expected.usage
    assert {cell: n for cell, n in found["failures"].items() if tag in cell.gateway} == expected.failures
    assert {each: span for each, span in found["caller_gateways"].items() if tag in each.gateway} == {
        each: asdict(span) for each, span in expected.caller_gateways.items()
    }
    assert {each[0]: dict(each[1]) for each in found["callers"] if tag in each[0][1]} == {
        (each.credential, str(each.client), str(each.source), str(each.region)): asdict(facts)
        for each, facts in expected.callers.items()
    }
    assert {
        (each[0], day.day): tuple(day)[1:] for each in found["callers"] for day in each[2] if tag in each[0][1]
    } == {
        ((each.credential, str(each.client), str(each.source), str(each.region)), each.day): tuple(asdict(use).values())
        for each, use in expected.days.items()
    }
    rows = store.ledger(Partition(tag, 0))
    assert sum(row.records for row in rows) == len(all_events)
    assert all(row.records == row.aggregated + row.unmapped + row.rejected for row in rows)
    assert sum(row.unmapped for row in rows) == expected.unmapped
    assert all(before.to_offset == after.from_offset for before, after in itertools.pairwise(rows))


def test_an_aggregate_is_not_changed_by_being_applied(store: Store) -> None:
    feed = Feed(store)
    events = [event(), event(T0 + 1), event(T0 + DAY_MS)]
    first = feed.flush(events)
    before = asdict(first.aggregate)
    feed.flush(events)
    assert asdict(first.aggregate) == before == asdict(recount(events))
