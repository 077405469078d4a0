"""The direct way and the strict way give the same counts, rejects and elements, whatever a producer writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.aggregation import Aggregator
from monitor.core.events import AuthEvent, Reject, Rejected
from monitor.core.mapping import compile_mapping
from monitor.core.repeats import Repeats
from monitor.core.windows import Aggregate, CallerGatewayKey, CallerKey, FailureKey, GatewayMinuteKey, Span, UsageKey

T = 1_780_000_000_000
REGISTERED = frozenset({"cred-a1", "cred-a2"})
FINE = frozenset({"cred-a2"})
MAPPING = compile_mapping("canonical", pepper=b"pepper", max_record_bytes=4_000)


class Strictly:
    """The same mapping, without the direct way."""

    is_canonical = False
    gateway = MAPPING.gateway
    region = MAPPING.region

    def map_value(self, value: bytes | None, arrival_ms: int | None) -> Sequence[AuthEvent | Rejected]:
        return MAPPING.map_value(value, arrival_ms)


def aggregated(
    values: Sequence[bytes | None], arrivals: Sequence[int] | None, mapping: Any = MAPPING, **options: Any
) -> tuple[Aggregate, list[Reject], int]:
    made = Aggregator(mapping, registered=REGISTERED, fine=FINE, max_record_bytes=4_000, **options)
    half = len(values) // 2
    for part in (slice(half), slice(half, None)):
        made.add(values[part], None if arrivals is None else arrivals[part], range(len(values))[part])
    return made.take()


def event(**fields: Any) -> bytes:
    whole = {"ts": T, "outcome": "success", "gateway": "edge-1", "credential": "cred-a1", "client": "acme", **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


WORDS = ["cred-a1", "cred-a2", "other", "", "-", " padded ", "\u00fcn\u00efcode", "a\\b", 'q"q', "x" * 300, "a/b"]
TIMES = ["2026-05-28T20:26:39Z", "2026-05-28T22:26:39.5+02:00", "2026-05-28T20:26:39", " 2026-05-28T20:26:39Z"]
ODD: dict[str, list[Any]] = {
    "ts": [T, T - 10_000_000, T + 2_000_000, *TIMES, 1, T + 90_000_000, 1.5, True, None, "", float(T) + 0.75],
    "outcome": ["success", "failure", ..., None, "maybe", "-", " success", 7],
    "reason": [..., "ok", "expired", "rate_limited", "gateway_error", "strange", "", "-", None, 7],
    "status": [..., 200, 401, 403, 429, 503, "401", "x", 99, 0, None, True, 200.0, "-"],
    "credential": [*WORDS, ..., None, 7, "\ud800", "a\0b"],
    "client": [*WORDS, ..., None, 7, True, "\ud800", "a\0b"],
    "source": [*WORDS, ..., None, 7],
    "gateway": [*WORDS, ..., None, 7],
    "region": [*WORDS, ..., None, 7],
    "route": [..., "/orders?api_key=1", "https://x/orders", "GET /o HTTP/1.1", "-", None, 5, "a\0b"],
    "method": [..., "GET", None, 5, "\ud800"],
    "id": [..., "1", "2", None, 7, "a\0b"],
    "count": [..., 1, 3, 0, None, "5", 2.0, True, "-", 10**30],
    "sample_rate": [..., 1, 1.0, 0.5, 0, None, "1", True],
    "arrived_at": [..., 5, "x", None],
    "extra": [..., 1, "x", {"a": [1, "2"]}, [[[]]]],
}
usual = st.fixed_dictionaries(
    {
        "ts": st.integers(T - 4_000_000, T),
        "outcome": st.sampled_from(["success", "failure"]),
        "credential": st.sampled_from(["cred-a1", "cred-a2", "other"]),
        "client": st.sampled_from(["acme", "globex"]),
        "gateway": st.sampled_from(["edge-1", "edge-2"]),
        "route": st.sampled_from(["/a?x=1", "/b"]),
        "status": st.sampled_from([200, 401]),
    }
)
odd = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ODD.items()})
unusual = st.builds(lambda base, name, fields: {**base, name: fields[name]}, usual, st.sampled_from(sorted(ODD)), odd)


def _written(fields: dict[str, Any], duplicate: bool, *, compact: bool) -> bytes:
    kept = {name: value for name, value in fields.items() if value is not ...}
    text = json.dumps(kept, ensure_ascii=not compact, separators=(",", ":") if compact else None)
    if duplicate and kept:
        name, value = next(iter(kept.items()))
        text = f"{{{json.dumps(name)}: {json.dumps(value)}, {text[1:]}"
    return text.encode("utf-8", "surrogatepass")


records = st.one_of(
    st.builds(_written, usual, st.just(False), compact=st.booleans()),
    st.builds(_written, usual, st.just(False), compact=st.just(True)),
    st.builds(_written, unusual, st.just(False), compact=st.booleans()),
    st.builds(_written, odd, st.sampled_from([False, False, False, True]), compact=st.booleans()),
    st.sampled_from(
        [
            *(None, b"", b"null", b"[]", b'"text"', b"not json", b"\xff\xfe", b'{"ts": NaN}', event(extra="x" * 5_000)),
            b"[" + event() + b"," + event(outcome="maybe") + b"]",
            event(extra=json.loads("[" * 70 + "]" * 70)),
            event(credential='a"b'),
            event().replace(b"cred-a1", b"cred\\u002da1"),
            b" " + event() + b"\n",
            # Four escaped quotation marks stand in for those of the lost field: only their look gives them away.
            b'{"ts":1780000000000,"outcome":"success","gateway":"\\u0022\\u0022\\u0022\\u0022","region":"a","region":"b"}',
        ]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(records, st.integers(T - 100_000, T + 100_000)), max_size=60), st.booleans())
def test_both_ways_give_the_same(given_records: list[tuple[bytes | None, int]], judged: bool) -> None:
    values = [value for value, _ in given_records]
    arrivals = [arrival for _, arrival in given_records] if judged else None
    directly, strictly = aggregated(values, arrivals), aggregated(values, arrivals, Strictly())
    assert directly == strictly
    aggregate, rejects, elements = directly
    assert elements == aggregate.aggregated + aggregate.unmapped + len(rejects)


@pytest.mark.parametrize("name", sorted(ODD))
def test_both_ways_give_the_same_for_each_odd_value_among_usual_ones(name: str) -> None:
    for outcome in ("success", "failure"):
        for value in ODD[name]:
            records = [event(outcome=outcome), _written(_fields(outcome, {name: value}), False, compact=True)] * 3
            arrivals = [T + 10] * len(records)
            assert aggregated(records, arrivals) == aggregated(records, arrivals, Strictly()), (name, value)


def _fields(outcome: str, changed: dict[str, Any]) -> dict[str, Any]:
    usual_ones = {"ts": T, "outcome": outcome, "gateway": "edge-1", "credential": "cred-a1", "client": "acme"}
    return {**usual_ones, "route": "/a", **changed}


def test_a_plain_event_is_counted_everywhere_it_belongs() -> None:
    value = event(credential="cred-a2", source="eu", region="eu", ts=T + 61_000, count=3)
    aggregate, rejects, elements = aggregated([value], [T + 70_000])
    minute = (T + 61_000) // 60_000 * 60_000
    assert (elements, rejects, aggregate.aggregated, aggregate.unmapped) == (1, [], 1, 0)
    assert aggregate.usage == {UsageKey(minute, 60, "cred-a2", "edge-1", "eu", "success", "ok"): 3}
    assert aggregate.gateways == {GatewayMinuteKey("edge-1", "eu", minute): Span(T + 61_000, T + 61_000, 1)}
    at = CallerGatewayKey("cred-a2", "acme", "eu", "edge-1", "eu")
    assert aggregate.caller_gateways == {at: Span(T + 61_000, T + 61_000, 3)}
    facts = aggregate.callers[CallerKey("cred-a2", "acme", "eu", "eu")]
    assert (facts.accepted, facts.served, facts.last_arrival_ms, facts.last_served_ms) == (3, 3, T + 70_000, T + 61_000)


@pytest.mark.parametrize(
    ("fields", "credential", "caller", "why"),
    [
        ({"outcome": "success", "credential": "stranger"}, "stranger", True, "a successful unknown is counted exactly"),
        ({"outcome": "failure", "credential": "stranger"}, None, False, "a failing unknown has no row of its own"),
        ({"outcome": "failure", "credential": ...}, None, False, "a failure without a credential neither"),
        ({"outcome": "failure", "credential": "cred-a1"}, "cred-a1", True, "a failing registered one keeps its caller"),
        ({"outcome": "success", "credential": ...}, None, False, "a success without a credential has no caller"),
    ],
)
def test_who_gets_a_row(fields: dict[str, Any], credential: str | None, caller: bool, why: str) -> None:
    aggregate, _, _ = aggregated([event(**fields)], [T])
    assert [key.credential for key in aggregate.usage] == [credential], why
    assert bool(aggregate.callers) is caller, why
    assert aggregate.unmapped == (credential is None), why


def test_failures_of_registered_credentials_keep_route_and_method_without_the_query() -> None:
    value = event(outcome="failure", reason="expired", route="/orders?api_key=hidden", method="GET")
    aggregate, _, _ = aggregated([value] * 3, [T] * 3)
    minute = T // 60_000 * 60_000
    key = FailureKey(minute, "cred-a1", "acme", None, "edge-1", None, "/orders", "GET", "expired")
    assert aggregate.failures == {key: 3}


def test_a_time_ahead_of_its_arrival_is_counted_at_the_arrival_and_marked() -> None:
    aggregate, rejects, _ = aggregated([event(ts=T + 400_000)], [T])
    facts = aggregate.callers[CallerKey("cred-a1", "acme", None, None)]
    assert (facts.last_accepted_ms, facts.last_suspect_ms, rejects) == (T, T, [])


def test_ten_thousand_failing_strangers_make_one_row_and_leave_nothing_behind() -> None:
    values = [event(outcome="failure", credential=f"guess-{number}") for number in range(10_000)]
    aggregate, _, elements = aggregated(values, [T] * 10_000)
    assert (elements, aggregate.unmapped, len(aggregate.usage), len(aggregate.callers)) == (10_000, 10_000, 1, 0)


def test_details_of_failures_are_bounded_and_still_counted() -> None:
    values = [event(outcome="failure", route=f"/orders/{number}") for number in range(5_000)]
    aggregate, _, _ = aggregated(values, [T] * 5_000)
    assert len(aggregate.failures) <= 2_001
    assert sum(aggregate.failures.values()) == 5_000


@pytest.mark.parametrize(
    ("arrivals", "requests", "why"),
    [
        ([T, T + 10], 1, "within the window a repetition is one event"),
        ([T, T + 5_000], 2, "later it is counted again"),
    ],
)
def test_a_repeated_id_counts_once_within_the_window(arrivals: list[int], requests: int, why: str) -> None:
    values = [event(id="one", ts=at) for at in arrivals]
    aggregate, _, elements = aggregated(values, arrivals, repeats=Repeats(window_ms=1_000))
    assert (sum(aggregate.usage.values()), aggregate.aggregated, elements) == (requests, 2, 2), why


def test_a_record_that_is_read_anew_is_not_its_own_repetition() -> None:
    repeats = Repeats(window_ms=60_000)
    dropped = aggregated([event(id="one")], [T], repeats=repeats)
    again = aggregated([event(id="one")], [T], repeats=repeats)
    assert dropped == again
    assert sum(again[0].usage.values()) == 1
