"""The demo's fleet: the same story however it is asked for, and the story that the page promises."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest
import yaml

from monitor.core.instants import DAY_MS, HOUR_MS, parse_rfc3339
from monitor.core.registry_file import parse_registry
from monitor.demo.clock import FastClock
from monitor.demo.fleet import FLEET, HISTORY_DAYS, events
from monitor.demo.keys_file import keys_yaml, rollover_id

START = parse_rfc3339("2026-11-23T00:00:00Z")


def told(from_day: float, to_day: float, *, seed: int = 7) -> list[tuple[int, dict[str, Any]]]:
    found = events(START, START + int(from_day * DAY_MS), START + int(to_day * DAY_MS), seed=seed)
    return [(at_ms, orjson.loads(value)) for at_ms, value in found]


@pytest.fixture(scope="module")
def story() -> list[tuple[int, dict[str, Any]]]:
    return told(-2, 12)


def test_a_stretch_is_the_sum_of_its_parts() -> None:
    cuts = [0.0, 0.37, 0.5, 1.0, 2.0]
    parts = [event for from_, to in itertools.pairwise(cuts) for event in told(from_, to)]
    assert parts == told(0.0, 2.0)


def test_events_come_in_order_of_time(story: list[tuple[int, dict[str, Any]]]) -> None:
    times = [at_ms for at_ms, _ in story]
    assert times == sorted(times)
    assert all(event["ts"] == at_ms for at_ms, event in story)


def test_another_seed_is_another_fleet_of_the_same_story() -> None:
    assert told(0, 1) != told(0, 1, seed=8)
    assert told(0, 1) == told(0, 1)


def test_billing_has_moved_after_five_days(story: list[tuple[int, dict[str, Any]]]) -> None:
    late = {event["credential"] for at_ms, event in story if at_ms >= START + 5 * DAY_MS}
    assert "cred-billing-api-v2" in late
    assert "cred-billing-api-v1" not in late


def test_one_straggler_alone_stays_on_search(story: list[tuple[int, dict[str, Any]]]) -> None:
    late = {
        (event["client"], event["source"])
        for at_ms, event in story
        if at_ms >= START + 5 * DAY_MS and event["credential"] == "cred-search-api-v3"
    }
    assert late == {("acme", "nightly-batch")}


def test_payments_fails_at_one_gateway_for_three_days(story: list[tuple[int, dict[str, Any]]]) -> None:
    failed = [(at_ms, event) for at_ms, event in story if event["outcome"] == "failure"]
    assert {event["gateway"] for _, event in failed} == {"edge-us-2"}
    assert {event["credential"] for _, event in failed} == {"cred-payments-api-v8"}
    assert 2 * DAY_MS < failed[-1][0] - failed[0][0] < 3 * DAY_MS


def test_the_monthly_job_ran_before_the_story_and_runs_again_after_three_weeks() -> None:
    runs = {
        (at_ms - START) // DAY_MS: event["credential"]
        for at_ms, event in told(-40, 23)
        if event["client"] == "month-end"
    }
    assert runs == {-39: "cred-reports-api-v2", -9: "cred-reports-api-v2", 21: "cred-reports-api-v3"}


def test_the_history_is_long_enough_for_the_gates_look_back() -> None:
    assert HISTORY_DAYS >= 100


@pytest.mark.parametrize("with_rollovers", [False, True])
def test_its_keys_file_is_one_that_production_would_take(with_rollovers: bool) -> None:
    text = keys_yaml(START, with_rollovers=with_rollovers, hours_a_second=2.0)
    registry = parse_registry(text, name="keys.yaml")
    assert len(registry.keys) == len(FLEET)
    assert [each.id for each in registry.rollovers] == ([rollover_id(key) for key in FLEET] if with_rollovers else [])


def test_a_faster_clock_forgives_later_evidence() -> None:
    def late(speed: float) -> str:
        document = yaml.safe_load(keys_yaml(START, with_rollovers=True, hours_a_second=speed))
        return str(document["rollovers"][0]["policy"]["max_ingest_age"])

    assert (late(1.0), late(2.0), late(20.0)) == ("18h", "18h", "60h")


def test_the_clock_stands_until_it_is_started() -> None:
    clock = FastClock(at_ms=START, speed=7_200, slow_from_ms=START + DAY_MS)
    assert clock.now_ms() == clock.now_ms() == START


def test_the_clock_runs_fast_then_slows_down() -> None:
    seconds = 100.0
    clock = FastClock(
        at_ms=START, speed=7_200, slow_from_ms=START + 24 * HOUR_MS, slow_speed=60, monotonic=lambda: seconds
    )
    clock.start()
    seconds = 101.0
    assert clock.now_ms() == START + 2 * HOUR_MS
    seconds = 112.0
    assert clock.now_ms() == START + 24 * HOUR_MS
    seconds = 172.0
    assert clock.now_ms() == START + 25 * HOUR_MS


def test_the_clock_waits_for_whoever_looks_and_does_not_make_up_for_it() -> None:
    seconds = 0.0
    clock = FastClock(
        at_ms=START,
        speed=7_200,
        slow_from_ms=START + 24 * DAY_MS,
        lead_ms=12 * HOUR_MS,
        monotonic=lambda: seconds,
    )
    clock.start()
    seconds = 60.0
    assert clock.now_ms() == START + 12 * HOUR_MS
    clock.looked(START + 12 * HOUR_MS)
    assert clock.now_ms() == START + 12 * HOUR_MS
    seconds = 61.0
    assert clock.now_ms() == START + 14 * HOUR_MS
