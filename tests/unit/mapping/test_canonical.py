"""The canonical event, sentence by sentence (contract: DESIGN section 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.core.events import AuthEvent, Rejected
from monitor.core.mapping import compile_mapping

TS = 1_780_000_000_000
ARRIVAL = TS + 1_000
MAPPING = compile_mapping("canonical", pepper=b"pepper")
GOOD: dict[str, Any] = {"ts": TS, "outcome": "success", "gateway": "edge-1"}


def mapped(value: bytes, arrival_ms: int | None = ARRIVAL) -> list[AuthEvent | Rejected]:
    return MAPPING.map_value(value, arrival_ms)


def event(**fields: Any) -> AuthEvent:
    (found,) = mapped(json.dumps({**GOOD, **fields}).encode())
    assert isinstance(found, AuthEvent), found
    return found


OUTCOMES = [
    ({"outcome": "success"}, ("success", "ok"), "nothing else said"),
    ({"outcome": "failure"}, ("failure", "other"), "a failure without a reason"),
    ({"outcome": "failure", "status": 403}, ("failure", "forbidden"), "completed from the status"),
    ({"outcome": "success", "status": 429}, ("success", "rate_limited"), "accepted, not served"),
    ({"outcome": "success", "status": 503}, ("success", "gateway_error"), "a 5xx"),
    ({"outcome": "failure", "reason": "expired"}, ("failure", "expired"), "a known reason stands"),
    (
        {"outcome": "failure", "reason": "nonsense", "status": 429},
        ("failure", "rate_limited"),
        "an unknown one does not",
    ),
    ({"outcome": None, "status": 401}, ("failure", "missing_credential"), "401 without a credential"),
    ({"outcome": "", "status": 401, "credential": "c"}, ("failure", "unknown_credential"), "401 with one"),
    ({"outcome": "-", "status": 403}, ("failure", "forbidden"), "a dash is absent"),
    ({"outcome": None, "status": 429}, ("success", "rate_limited"), "429"),
    ({"outcome": None, "status": 500}, ("success", "ok"), "everything else"),
    ({"outcome": None, "status": "204"}, ("success", "ok"), "numbers as text"),
]


@pytest.mark.parametrize(("fields", "expected", "why"), OUTCOMES, ids=[each[2] for each in OUTCOMES])
def test_outcome_and_reason_are_completed_from_the_status(
    fields: dict[str, Any], expected: tuple[str, str], why: str
) -> None:
    found = event(**fields)
    assert (found.outcome, found.reason) == expected, why


def test_null_empty_and_dash_are_absent_and_unknown_fields_are_ignored() -> None:
    found = event(credential=None, client="", source="-", region=" ", route=None, id="", extra={"deep": [1]})
    assert (found.credential, found.client, found.source, found.region, found.route, found.event_id) == (None,) * 6


def test_a_numeric_time_is_epoch_milliseconds_whole_or_fractional() -> None:
    assert event(ts=TS + 0.75).ts_ms == TS
    assert event(ts="2026-05-28T20:26:40Z").ts_ms == TS
    assert event(ts="2026-05-28T22:26:40.000+02:00").ts_ms == TS


def test_a_route_is_cut_at_its_question_mark() -> None:
    assert event(route="/orders?api_key=hidden&x=1").route == "/orders"


def test_a_time_ahead_of_its_arrival_is_counted_at_the_arrival_and_marked() -> None:
    ahead = event(ts=ARRIVAL + 3_600_000)
    assert (ahead.ts_ms, ahead.ts_suspect) == (ARRIVAL, True)
    near = event(ts=ARRIVAL + 299_000)
    assert (near.ts_ms, near.ts_suspect) == (ARRIVAL + 299_000, False)


def test_what_is_too_long_to_store_keeps_its_beginning_and_stays_distinct() -> None:
    first, second = event(client="x" * 5_000 + "1"), event(client="x" * 5_000 + "2")
    assert first.client is not None
    assert len(first.client) <= 256
    assert first.client != second.client


def raw(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


DEEP = b'{"ts":1780000000000,"outcome":"success","gateway":"g","x":' + b"[" * 64 + b"]" * 64 + b"}"
POISON = [
    (b"", "not_json", "empty"),
    (b"null", "not_an_object", "a JSON null is a document, but no object"),
    (b"not json", "not_json", "text"),
    (b'{"ts": NaN}', "not_json", "NaN"),
    (b'{"ts": Infinity}', "not_json", "Infinity"),
    (b'{"ts":1780000000000,"outcome":"success","gateway":"g"', "not_json", "cut off"),
    (DEEP, "not_json", "65 levels"),
    (b"\xff\xfe{}", "not_utf8", "not UTF-8"),
    (b'"text"', "not_an_object", "a text"),
    (b"[[1]]", "not_an_object", "an array in an array"),
    (raw(x="y" * 70_000), "oversize", "over 64 KB"),
    (b'{"ts":1780000000000,"ts":1,"outcome":"success","gateway":"g"}', "duplicate_field", "one field twice"),
    (b'{"ts":1780000000000,"outcome":"success","gateway":"g","x":{"a":1,"a":2}}', "duplicate_field", "deep inside"),
    (b'{"outcome":"success","gateway":"g"}', "missing_field", "no time"),
    (b'{"ts":1780000000000,"outcome":"success"}', "missing_field", "no gateway"),
    (b'{"ts":1780000000000,"gateway":"g"}', "missing_field", "neither outcome nor status"),
    (raw(ts=True), "wrong_type", "a boolean time"),
    (raw(client=7), "wrong_type", "a number for a text"),
    (raw(count="3"), "wrong_type", "a text for a number"),
    (raw(status="ok"), "wrong_type", "a status that is none"),
    (raw(outcome="maybe"), "bad_value", "an unknown outcome"),
    (raw(count=0), "bad_value", "a weight of nothing"),
    (raw(sample_rate=0), "bad_value", "a rate of nothing"),
    (raw(sample_rate=1.5), "bad_value", "a rate above one"),
    (raw(status=999), "bad_value", "no such status"),
    (raw(ts="2026-05-01T00:00:00"), "bad_time", "naive"),
    (raw(ts="yesterday"), "bad_time", "no time"),
    (raw(ts=1), "bad_time", "before 2000"),
    (raw(ts=ARRIVAL + 25 * 3_600_000), "bad_time", "more than 24 h after arrival"),
    (raw(client="a\0b"), "bad_text", "NUL"),
    (b'{"ts":1780000000000,"outcome":"success","gateway":"g","client":"\\ud800"}', "bad_text", "half a surrogate pair"),
]


@pytest.mark.parametrize(("value", "reason", "why"), POISON, ids=[each[2] for each in POISON])
def test_each_class_of_bad_record_is_one_reject_with_its_reason(value: bytes, reason: str, why: str) -> None:
    (found,) = mapped(value)
    assert isinstance(found, Rejected), why
    assert found.reason == reason, why
    assert len(found.sha256) == 64


def test_a_null_value_is_not_json() -> None:
    (found,) = MAPPING.map_value(None, ARRIVAL)
    assert isinstance(found, Rejected)
    assert found.reason == "not_json"


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_bad_element_of_an_array_leaves_its_neighbours_alone(place: int) -> None:
    elements: list[Any] = [GOOD, GOOD]
    elements.insert(place, {**GOOD, "outcome": "maybe"})
    found = mapped(json.dumps(elements).encode())
    assert [isinstance(each, AuthEvent) for each in found] == [at != place for at in range(3)]


def test_where_arrival_is_not_judged_a_future_time_passes() -> None:
    (found,) = MAPPING.map_value(raw(ts=TS + 400 * 86_400_000), None)
    assert isinstance(found, AuthEvent)
