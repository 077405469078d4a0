"""One look: what it decides is written with all that follows, once, by the leader alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.adapters.metrics import Metrics
from monitor.control.memos import WATCH_MEMO
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.instants import MINUTE_MS
from monitor.core.registry import Registry
from monitor.errors import StoreAway
from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from monitor.watch.detection import Detected
from monitor.watch.loop import Watch
from tests.contract.store.factories import incident
from tests.unit.api.world import ROLLOVER, Api


class Scripted:
    """A detector that finds what it is told to."""

    def __init__(self) -> None:  # noqa: D107 - the class says it
        self.next = Detected()

    def look(self, registry: Registry, now_ms: int) -> Detected:
        """Return it, once."""
        found, self.next = self.next, Detected()
        return found


class World:
    """A watch loop on a store in memory."""

    def __init__(self, store: Any = None, *, moved: bool = True) -> None:  # noqa: D107 - the class says it
        self.api = Api(store, moved=moved, watched=False)
        self.store = self.api.store
        self.detector = Scripted()
        self.metrics = Metrics()
        self.watch = Watch(
            store=self.store,
            judge=self.api.judge,
            detection=self.detector,
            notifier=Notifier(NotifySettings(senders=("webhook",))),
            metrics=self.metrics,
            clock=self.api.time.clock(),
        )

    def look(self, minutes: int = 0) -> bool:
        """Let time pass, with Kafka probed and the caller at work, and look."""
        self.api.time.now_ms += minutes * MINUTE_MS
        self.api.probed()
        return self.watch.look()

    def rows(self, kind: str) -> list[Any]:
        """Return the ledger's rows of a kind."""
        with self.store.snapshot() as snapshot:
            return list(snapshot.audit_entries(kind=kind))

    def metric(self, line: str) -> bool:
        """Return whether the metrics have that line."""
        return line in self.metrics.text().decode().splitlines()


def test_a_look_decides_shows_and_lets_http_answer_go() -> None:
    world = World()
    assert world.api.decision().status_code == 503, "before the first look nobody watches"
    assert world.look()
    assert world.metric('rollwatch_decision{decision="GO",rollover="billing-2026-05"} 1.0')
    assert world.metric('rollwatch_decision{decision="UNKNOWN",rollover="billing-2026-05"} 0.0')
    assert world.api.decision().status_code == 200


def test_an_unchanged_decision_is_one_row_however_often_it_is_looked_at() -> None:
    world = World()
    for _ in range(4):
        world.look(minutes=1)
    assert len(world.rows("decision")) == 1
    with world.store.snapshot() as snapshot:
        assert snapshot.evaluations()[ROLLOVER].evaluated_at_ms == world.api.time.now_ms


def test_a_change_is_a_row_an_alert_and_a_message_together() -> None:
    world = World()
    world.look()
    before = world.store.outbox_size()
    world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/pins", json={"reason": "audit"})
    world.look(minutes=1)
    assert [row.body["decision"] for row in world.rows("decision")] == ["NO_GO", "GO"]
    changed = [row for row in world.rows("alert") if row.body["alert"]["kind"] == "decision_changed"]
    assert changed
    assert world.store.outbox_size() > before


def test_a_detectors_incident_is_felt_by_the_decision_of_the_same_look() -> None:
    world = World()
    world.look()
    alert = Alert(
        at_ms=world.api.time.now_ms,
        kind=AlertKind.FAILED_ROLLOVER,
        episode="e-1",
        severity=AlertSeverity.CRITICAL,
        text="v2 is refused",
        rollover=ROLLOVER,
        key="billing-api",
        version=2,
        cause="stale_gateway",
    )
    opened = incident("e-1", opened_at_ms=world.api.time.now_ms, closed_at_ms=None, holds_gate=True)
    world.detector.next = Detected(alerts=[alert], incidents=[opened])
    world.look(minutes=1)
    assert world.rows("decision")[0].body["decision"] == "NO_GO"
    assert "e-1" in {row.body["alert"]["episode"] for row in world.rows("alert")}


def test_a_detector_that_is_not_ready_is_unknown_here_and_in_every_answer() -> None:
    world = World()
    world.detector.next = Detected(not_ready="two days of history are missing")
    world.look()
    assert "two days of history" in world.api.decision().text
    assert world.metric("rollwatch_detector_ready 0.0")


def test_callers_states_are_kept_for_the_views() -> None:
    world = World(moved=False)
    world.look()
    states = {(row.client, row.version): row.state for row in world.store.caller_rows("billing-api")}
    assert states["acme", 1] == "migrated"
    assert states["globex", 1] not in (None, "migrated")


def test_only_the_leader_looks() -> None:
    world = World()
    world.store.lead = lambda _: False
    assert world.look()
    assert not world.watch.leads
    assert world.rows("decision") == []
    assert world.metric("rollwatch_leader 0.0")


class Failing(MemoryStore):
    """A store that fails when it is written to."""

    fail: Callable[[], None] | None = None

    def snapshot(self, *, write: bool = False) -> Any:
        """Fail if told to."""
        if write and self.fail is not None:
            self.fail()
        return super().snapshot(write=write)


def _away() -> None:
    raise StoreAway("connection refused")


def _broken() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(("fail", "says"), [(_away, "connection refused"), (_broken, "ZeroDivisionError")])
def test_a_look_that_fails_is_counted_kept_as_a_reason_and_made_good_by_the_next(
    fail: Callable[[], None], says: str
) -> None:
    store = Failing()
    world = World(store)
    store.fail = fail
    assert world.look() is False
    assert says in (world.watch.fault or "")
    store.fail = None
    assert world.look(minutes=1)
    assert world.watch.fault is None
    assert len(world.rows("decision")) == 1
    with store.snapshot() as snapshot:
        assert snapshot.memo(WATCH_MEMO) == {"at_ms": world.api.time.now_ms, "detector": None}


def test_a_retired_rollover_is_looked_at_and_a_completed_one_is_not() -> None:
    world = World()
    world.look()
    assert world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/retire", json={}).status_code == 200
    world.look(minutes=1)
    assert world.metric('rollwatch_decision{decision="GO",rollover="billing-2026-05"} 1.0')
    world.api.time.now_ms += 180 * MINUTE_MS
    assert world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/complete", json={}).status_code == 200
    world.look(minutes=1)
    assert 'rollover="billing-2026-05"' not in world.metrics.text().decode()


def test_a_rollover_that_stays_disabled_for_too_long_calls_somebody_once_until_it_goes_on() -> None:
    world = World()
    assert world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/disable", json={}).status_code == 200
    for days in (1, 7, 1):
        world.look(minutes=days * 24 * 60)
    holds = [row.body["alert"] for row in world.rows("alert") if row.body["alert"]["episode"].startswith("hold:")]
    assert [each["kind"] for each in holds] == ["deadline"]
    assert "disabled" in holds[0]["text"]
    assert world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/enable", json={}).status_code == 200
    world.look(minutes=1)
    ends = [row.body["alert"] for row in world.rows("alert") if row.body["alert"]["episode"] == holds[0]["episode"]]
    assert [each["kind"] for each in ends] == ["resolved", "deadline"]
