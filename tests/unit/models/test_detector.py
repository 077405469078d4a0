"""The detector as its users see it: alerts, readiness, restarts, bad input, no look ahead."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from models.cause import Cause
from models.detector import Detector, DetectorOptions
from models.episodes import Action, Alert
from models.observations import UsageRow
from models.reranker import default_reranker
from tests.unit.models.rollover_traffic import DAY, START, at, facts, healthy, use, watch

T = 2 * DAY + 90
CLIENTS = ("acme", "globex", "initech")
PAST = healthy(range(T), every=10)
AFTER = T + 240


def outage(reason: str = "unknown_credential", gateways: tuple[str, ...] = ("e1", "e2")) -> list[UsageRow]:
    """The new version is refused in eu and accepted in us."""
    return [
        use(m, version=2, client=c, gateway=g, reason=reason if g in gateways else "ok", n=2)
        for m in range(T, T + 60, 2)
        for c in CLIENTS
        for g in ("e1", "e2", "u1")
    ]


@pytest.fixture(scope="module")
def told() -> list[Alert]:
    return watch(PAST + outage(), key=facts(), until=AFTER)


def test_a_failed_rollover_is_told_once_and_resolved_once(told: list[Alert]) -> None:
    assert [a.action for a in told if a.action in {Action.OPENED, Action.CLOSED}] == [Action.OPENED, Action.CLOSED]
    assert len({a.episode for a in told}) == 1


def test_it_is_told_within_minutes(told: list[Alert]) -> None:
    assert at(T) < told[0].at <= at(T + 6)


def test_its_start_is_the_first_failing_minute(told: list[Alert]) -> None:
    assert told[0].finding.started_at == at(T)


def test_an_opening_names_the_features_that_carried_it(told: list[Alert]) -> None:
    shares = told[0].finding.top_features
    assert shares
    assert all(s.contribution > 0 for s in shares)
    assert [s.contribution for s in shares] == sorted((s.contribution for s in shares), reverse=True)


def test_a_healthy_rollover_is_not_told() -> None:
    moved = healthy(range(T, T + 300), version=2, every=5)
    assert watch(PAST + moved, key=facts(), until=T + 300) == []


def test_the_same_input_gives_the_same_alerts(told: list[Alert]) -> None:
    assert watch(PAST + outage(), key=facts(), until=AFTER) == told


def test_the_order_of_rows_within_a_look_does_not_matter(told: list[Alert]) -> None:
    rows = PAST + outage()
    random.Random(7).shuffle(rows)
    assert watch(rows, key=facts(), until=AFTER) == told


def test_nothing_that_comes_later_changes_what_was_told(told: list[Alert]) -> None:
    cut = T + 20
    rows = PAST + [r for r in outage() if r.bucket < int(at(cut).timestamp())]
    assert watch(rows, key=facts(), until=cut) == [a for a in told if a.at <= at(cut)]


def test_what_is_told_in_a_warm_up_is_nothing() -> None:
    detector = Detector(reranker=default_reranker())
    detector.register([facts()])
    detector.warm(PAST + outage(), at(T + 60))
    assert detector.episodes.open == {}


def test_a_restart_keeps_open_episodes_and_closes_them(told: list[Alert]) -> None:
    detector = Detector(reranker=default_reranker())
    detector.register([facts()])
    detector.warm(PAST + outage(), at(T + 60))
    detector.restore([told[0]], at(T + 60))
    again = watch([], until=AFTER, since=T + 60, detector=detector)
    assert [(a.action, a.episode) for a in again] == [(Action.CLOSED, told[0].episode)]


@pytest.mark.parametrize(("hours", "ready"), [(0, False), (23, False), (24, True), (72, True)])
def test_it_is_ready_after_a_day_of_history_and_says_so(hours: int, ready: bool) -> None:
    detector = Detector(reranker=default_reranker())
    if hours:
        detector.warm([use(0), use(hours * 60 - 1)], at(hours * 60))
    found = detector.readiness(at(hours * 60))
    assert found.ready is ready
    assert ("not ready" in found.text) is not ready


def test_a_forest_alone_asks_as_much_as_simulated_calm_does_for_the_budget() -> None:
    found = {}
    for name, calm in (("own", None), ("simulated", default_reranker().healthy)):
        detector = Detector(reranker=None, healthy=calm)
        detector.register([facts()])
        noisy = [use(m, reason="forbidden", client="acme") for m in range(0, T, 37)]
        watch(PAST + noisy, until=T, detector=detector)
        found[name] = detector.train(at(T)).thresholds
    assert found["simulated"].rollover > found["own"].rollover
    assert found["simulated"].rest > found["own"].rest


def test_without_a_re_ranker_a_trained_forest_speaks() -> None:
    detector = Detector(reranker=None)
    detector.register([facts()])
    noisy = [use(m, reason="forbidden", client="acme") for m in range(0, T, 37)]
    watch(PAST + noisy, until=T, detector=detector)
    record = detector.train(at(T))
    assert record.accepted
    assert detector.readiness(at(T)).scorer == "forest"
    told = watch(outage(), until=T + 60, since=T, detector=detector)
    assert [a.action for a in told][:1] == [Action.OPENED]


def test_a_training_without_history_keeps_the_old_model() -> None:
    detector = Detector(reranker=None)
    record = detector.train(START)
    assert not record.accepted
    assert "too few" in record.text
    assert set(record.as_json()) >= {"rows", "seed", "versions", "threshold_rollover", "blind"}


def test_a_failure_without_a_client_is_felt_too() -> None:
    nameless = [
        r._replace(client=None) if r.reason != "ok" else r for r in outage("wrong_secret", gateways=("e1", "e2", "u1"))
    ]
    told = watch(PAST + nameless, key=facts(), until=T + 60)
    assert [a.action for a in told][:1] == [Action.OPENED]


BAD_INPUT: dict[str, list[UsageRow]] = {
    "empty history": [],
    "one row": [use(0)],
    "a constant series": [use(m) for m in range(3000)],
    "counts in the millions": [use(m, n=5_000_000, reason=r) for m in range(50) for r in ("ok", "wrong_secret")],
    "nothing but failures": [use(m, reason="other") for m in range(600)],
    "rows of before the first": [use(500), use(-4000, reason="revoked"), use(501)],
    "an unknown reason": [use(m, reason="teapot") for m in range(100)],
    "no names at all": [
        use(m, client=None, source=None, route=None, reason=r) for m in range(100) for r in ("ok", "other")
    ],
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_no_fault(name: str) -> None:
    detector = Detector(reranker=default_reranker())
    detector.register([facts(started_minute=10)])
    rows = BAD_INPUT[name]
    for minute in range(0, 3000, 10):
        epoch = int(at(minute).timestamp())
        detector.observe([r for r in rows if epoch - 600 <= r.bucket < epoch], at(minute))
    detector.train(at(3000))
    assert detector.readiness(at(3000)).text


def test_a_clock_that_jumps_is_no_fault() -> None:
    detector = Detector(reranker=default_reranker())
    for hours in (0, 5, -3, 4000, 2, 6):
        now: datetime = START + timedelta(hours=hours)
        minute = hours * 60
        detector.observe([use(minute), use(minute, reason="revoked")], now + timedelta(minutes=1))


def test_a_gateway_that_changes_its_reasons_overnight_tells_no_failed_rollover() -> None:
    rows = PAST + [
        use(m, reason="forbidden" if m < DAY else "other", client="zombie", source="lab", gateway="u1")
        for m in range(0, T, 30)
    ]
    told = watch(rows, key=facts(), until=T)
    assert [a for a in told if a.finding.cause is not Cause.CALLER_FAULT] == []


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Detector(reranker=None).observe([], datetime(2026, 5, 1))  # noqa: DTZ001 - the case


def test_the_budget_moves_the_thresholds() -> None:
    tight, wide = (
        Detector(reranker=default_reranker(), options=DetectorOptions(budget=b)).train(START).thresholds
        for b in (1.0, 12.0)
    )
    assert tight.rollover > wide.rollover
