"""`RolloverDetector`: kinds by the contract, corrections, readiness, incidents that survive a restart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from monitor.adapters.detector import RolloverDetector
from monitor.core.alerts import Alert, AlertKind
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, to_ms
from monitor.core.registry import Key, KeyVersion, Registry, Rollover
from monitor.ports.detection import MinuteUse
from tests.unit.models.rollover_traffic import DAY, START, healthy, use

START_MS = to_ms(START)
T = 2 * DAY + 90
CLIENTS = ("acme", "globex", "initech")


def registry(*, started: int = 2 * DAY, retired: int | None = None) -> Registry:
    return Registry(
        keys=(
            Key(
                key="billing",
                versions=(KeyVersion(version=1, credentials=("c1",)), KeyVersion(version=2, credentials=("c2",))),
            ),
        ),
        rollovers=(
            Rollover(
                id="r",
                key="billing",
                from_version=1,
                to_version=2,
                started_at_ms=START_MS + started * MINUTE_MS,
                retired_at_ms=None if retired is None else START_MS + retired * MINUTE_MS,
            ),
        ),
    )


def uses(rows: Sequence[object]) -> list[MinuteUse]:
    return [MinuteUse(row[0] * 1000, *row[1:]) for row in rows]  # type: ignore[index]


def refused(*, start: int = T, version: int = 2, reason: str = "unknown_credential") -> list[MinuteUse]:
    return uses(
        [
            use(m, version=version, client=c, gateway=g, reason=reason if g != "u1" else "ok", n=2)
            for m in range(start, start + 60, 2)
            for c in CLIENTS
            for g in ("e1", "e2", "u1")
        ]
    )


def watched(
    rows: list[MinuteUse],
    known: Registry,
    *,
    until: int,
    past: int = T,
    gateway: str | None = None,
    moved: bool = False,
) -> tuple[RolloverDetector, list[Alert]]:
    detector = RolloverDetector()
    detector.register(known)
    worked = healthy(range(past - 2 * DAY, past), every=10)
    if moved:
        worked += healthy(range(past - 600, past), version=2, every=10)
    detector.warm(uses(worked), START_MS + past * MINUTE_MS)
    told: list[Alert] = []
    by_minute: dict[int, list[MinuteUse]] = {}
    for row in rows:
        named = row if gateway is None else row._replace(gateway=gateway)
        by_minute.setdefault((row.minute_ms - START_MS) // MINUTE_MS, []).append(named)
    for minute in range(past, until):
        told.extend(detector.observe(by_minute.get(minute, []), START_MS + (minute + 1) * MINUTE_MS))
    return detector, told


@pytest.mark.parametrize(
    ("started", "retired", "kind", "why"),
    [
        (2 * DAY, None, AlertKind.FAILED_ROLLOVER, "the rollover runs"),
        (2 * DAY, 2 * DAY + 30, AlertKind.FAILED_ROLLOVER, "retired, but within 48 h of the start"),
        (T - 3 * DAY, None, AlertKind.FAILED_ROLLOVER, "later than 48 h, not retired"),
        (T - 3 * DAY, T - 60, AlertKind.FAILURE_SPIKE, "later than 48 h and retired"),
        (T + DAY, None, AlertKind.FAILURE_SPIKE, "not begun"),
    ],
)
def test_the_kind_follows_from_the_rollovers_time(started: int, retired: int | None, kind: AlertKind, why: str) -> None:
    rows = refused() if started <= T else [u for u in refused(version=1, reason="revoked") if u.gateway != "u1"]
    over = retired is not None and T - started > 2 * DAY
    _, told = watched(rows, registry(started=started, retired=retired), until=T + 40, moved=over)
    assert told, why
    assert told[0].kind is kind, why
    assert told[0].rollover == ("r" if kind is AlertKind.FAILED_ROLLOVER else None), why


def test_one_episode_is_one_alert_its_corrections_and_one_resolved() -> None:
    _, told = watched(refused(), registry(), until=T + 400)
    assert len({a.episode for a in told}) == 1
    assert told[-1].kind is AlertKind.RESOLVED
    assert {a.kind for a in told[:-1]} == {AlertKind.FAILED_ROLLOVER}
    causes = [a.cause for a in told[:-1]]
    assert all(a != b for a, b in pairwise(causes))


def test_it_is_told_in_the_line_of_the_contract() -> None:
    _, told = watched(refused(), registry(), until=T + 20)
    line = told[0].as_json()
    assert line["key"] == "billing"
    assert line["version"] == 2
    assert str(line["cause"])
    assert "v2 is refused" in str(line["text"])
    assert isinstance(line["evidence"], dict)
    assert line["evidence"]["started_at"] == "2026-05-03T01:30:00Z"


def test_two_regions_may_use_one_gateways_name() -> None:
    _, told = watched(refused(), registry(), until=T + 60, gateway="edge")
    assert told
    assert {a.cause for a in told} & {"propagation_delay", "stale_gateway"}
    assert told[-1].gateway in {None, "edge"}


def test_open_incidents_hold_the_gate_until_they_are_resolved() -> None:
    detector, told = watched(refused(), registry(), until=T + 30)
    ((key, incident),) = detector.open_incidents()
    assert (key, incident.incident, incident.holds_gate) == ("billing", told[0].episode, True)
    detector.observe([], START_MS + (T + 30) * MINUTE_MS + 20 * HOUR_MS)
    assert detector.open_incidents() == []


def test_incidents_survive_a_restart_and_are_resolved_once() -> None:
    detector, told = watched(refused(), registry(), until=T + 30)
    stored = detector.changed_incidents()
    assert detector.changed_incidents() == []
    again = RolloverDetector()
    again.register(registry())
    now = START_MS + (T + 30) * MINUTE_MS
    again.restore(stored, now)
    assert [i.incident for _, i in again.open_incidents()] == [told[0].episode]
    later = again.observe([], now + DAY_MS)
    assert [(a.kind, a.episode) for a in later] == [(AlertKind.RESOLVED, told[0].episode)]
    (closed,) = again.changed_incidents()
    assert closed.closed_at_ms is not None


@pytest.mark.parametrize(("hours", "ready"), [(1, False), (23, False), (25, True)])
def test_it_is_ready_once_a_day_of_history_is_there(hours: int, ready: bool) -> None:
    detector = RolloverDetector()
    detector.register(registry())
    assert detector.not_ready(START_MS) is not None
    detector.warm(uses([use(0), use(hours * 60 - 1)]), START_MS + hours * HOUR_MS)
    assert (detector.not_ready(START_MS + hours * HOUR_MS) is None) is ready


def test_a_training_is_recorded_as_plain_json() -> None:
    record = RolloverDetector().train(START_MS)
    assert record["scorer"] in {"baseline", "forest", "re-ranker"}
