"""Steps of a rollover: by compare-and-set, audited by name, kept apart from what the file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitor.core.instants import DAY_MS
from monitor.core.registry import Pin, Waiver
from monitor.errors import Conflict, NotFound
from monitor.ports import AuditEntry, Snapshot, Store
from tests.contract.store.factories import NEW, OLD, T0, registered, rollover

NAME = "billing-2026-05"


@contextmanager
def writing(store: Store) -> Iterator[Snapshot]:
    with store.snapshot(write=True) as snapshot:
        yield snapshot


def newest(store: Store) -> AuditEntry:
    with store.snapshot() as snapshot:
        return snapshot.audit_entries(limit=1)[0]


@pytest.mark.parametrize(
    ("now_ms", "state"),
    [(T0 - 1, "planned"), (T0, "overlap"), (T0 + DAY_MS, "overlap")],
)
def test_until_somebody_makes_a_step_the_start_tells_the_state(store: Store, now_ms: int, state: str) -> None:
    registered(store)
    with store.snapshot() as snapshot:
        assert snapshot.state(NAME, now_ms).state == state
        assert {name: each.state for name, each in snapshot.states(now_ms).items()} == {NAME: state}
        assert snapshot.key(NAME, now_ms).state == state


def test_a_step_is_kept_with_who_when_and_why(store: Store) -> None:
    registered(store)
    with writing(store) as snapshot:
        snapshot.transition(NAME, expected="overlap", to="frozen", by="ana", reason="no newcomers", now_ms=T0 + 5)
    with store.snapshot() as snapshot:
        state = snapshot.state(NAME, T0 + 9)
    assert (state.state, state.since_ms, state.by, state.reason) == ("frozen", T0 + 5, "ana", "no newcomers")
    entry = newest(store)
    assert (entry.rollover, entry.at_ms, entry.body["by"], entry.body["to"]) == (NAME, T0 + 5, "ana", "frozen")


def test_a_step_from_another_state_than_the_assumed_one_is_a_conflict(store: Store) -> None:
    registered(store)
    with pytest.raises(Conflict), writing(store) as snapshot:
        snapshot.transition(NAME, expected="frozen", to="retired", by="ana", reason=None, now_ms=T0)
    with store.snapshot() as snapshot:
        assert snapshot.state(NAME, T0).state == "overlap"


def test_retiring_sets_the_time_and_no_longer_keeps_details_of_the_key(store: Store) -> None:
    registered(store)
    revision, before = store.registry()
    assert before.fine_credentials == {OLD, NEW}
    with writing(store) as snapshot:
        snapshot.transition(NAME, expected="overlap", to="retired", by="ana", reason=None, now_ms=T0 + 5)
    after, held = store.registry()
    assert after > revision
    assert held.rollovers[0].retired_at_ms == T0 + 5
    assert held.fine_credentials == frozenset()


def test_completing_keeps_the_time_of_retirement_and_rolling_back_takes_it_off(store: Store) -> None:
    registered(store)
    with writing(store) as snapshot:
        snapshot.transition(NAME, expected="overlap", to="retired", by="ana", reason=None, now_ms=T0 + 5)
        snapshot.transition(NAME, expected="retired", to="completed", by="ana", reason=None, now_ms=T0 + 9)
    assert store.registry()[1].rollovers[0].retired_at_ms == T0 + 5
    with writing(store) as snapshot:
        snapshot.transition(NAME, expected="completed", to="rolled_back", by="ana", reason="broken", now_ms=T0 + 10)
    assert store.registry()[1].rollovers[0].retired_at_ms is None


def test_a_rollover_can_be_started_by_hand(store: Store) -> None:
    registered(store)
    revision = store.registry()[0]
    made = rollover("second", started_at_ms=T0 + DAY_MS, channel="#c", policy=(("settle", "1h"),))
    with writing(store) as snapshot:
        snapshot.start_rollover(made, by="bo", now_ms=T0)
        assert snapshot.state("second", T0).state == "planned"
    assert store.registry()[0] > revision
    assert store.registry()[1].rollover_by_id["second"] == made
    assert (newest(store).rollover, newest(store).body["by"]) == ("second", "bo")


@pytest.mark.parametrize(
    ("given", "fault", "why"),
    [
        (rollover(NAME), Conflict, "the id is taken"),
        (rollover("second", key="nope"), NotFound, "an unknown key"),
        (rollover("second", from_version=9), NotFound, "an unknown old version"),
        (rollover("second", to_version=9), NotFound, "an unknown new version"),
    ],
)
def test_a_rollover_that_does_not_fit_is_not_started(
    store: Store, given: object, fault: type[Exception], why: str
) -> None:
    before = registered(store)
    with pytest.raises(fault), writing(store) as snapshot:
        snapshot.start_rollover(given, by="bo", now_ms=T0)  # type: ignore[arg-type]  # rows of the table are mixed
    assert store.registry()[1] == before, why


def test_waivers_and_pins_given_by_hand_are_in_the_registry_and_audited(store: Store) -> None:
    registered(store)
    waiver = Waiver(rollover=NAME, client="globex", source="lab", reason="gone", by="ana", from_ms=T0, until_ms=T0 + 9)
    whole = Waiver(rollover=NAME, client="globex", reason="all of it", by="ana")
    pin = Pin(key="billing-api", version=1, reason="kept", by="ana", until_ms=T0 + 9)
    revision = store.registry()[0]
    with writing(store) as snapshot:
        snapshot.waive(waiver, now_ms=T0)
        snapshot.waive(whole, now_ms=T0)
        snapshot.pin(pin, now_ms=T0)
        snapshot.pin(Pin(key="billing-api", version=1, reason="me too", by="bo"), now_ms=T0)
    after, held = store.registry()
    assert after > revision
    assert set(held.waivers) == {waiver, whole}
    assert [each.by for each in held.pins] == ["ana", "bo"]
    with store.snapshot() as snapshot:
        assert len(snapshot.audit_entries()) == 5
        assert len(snapshot.audit_entries(rollover=NAME)) == 2


def test_unpinning_takes_off_all_pins_of_that_version_and_no_other(store: Store) -> None:
    registered(store)
    with writing(store) as snapshot:
        for version, by in ((1, "ana"), (1, "bo"), (2, "cy")):
            snapshot.pin(Pin(key="billing-api", version=version, reason="kept", by=by), now_ms=T0)
        snapshot.unpin("billing-api", 1, by="ana", reason="done", now_ms=T0 + 1)
    assert [each.by for each in store.registry()[1].pins] == ["cy"]
    assert newest(store).body["reason"] == "done"
    with pytest.raises(NotFound), writing(store) as snapshot:
        snapshot.unpin("billing-api", 1, by="ana", reason="again", now_ms=T0 + 2)


def test_steps_on_what_does_not_exist_are_not_found(store: Store) -> None:
    registered(store)
    with store.snapshot(write=True) as snapshot:
        with pytest.raises(NotFound):
            snapshot.transition("nope", expected="overlap", to="frozen", by="ana", reason=None, now_ms=T0)
        with pytest.raises(NotFound):
            snapshot.waive(Waiver(rollover="nope", client="c", reason="r", by="ana"), now_ms=T0)
        with pytest.raises(NotFound):
            snapshot.pin(Pin(key="billing-api", version=9, reason="r", by="ana"), now_ms=T0)
        with pytest.raises(NotFound):
            snapshot.pin(Pin(key="nope", version=1, reason="r", by="ana"), now_ms=T0)
        with pytest.raises(NotFound):
            snapshot.acknowledge_never_used("nope", by="ana", reason="r", now_ms=T0)


def test_who_acknowledged_that_the_old_version_was_never_used_is_evidence(store: Store) -> None:
    registered(store)
    with writing(store) as snapshot:
        snapshot.acknowledge_never_used(NAME, by="ana", reason="created by mistake", now_ms=T0)
    with store.snapshot() as snapshot:
        assert snapshot.key(NAME, T0).never_used_acknowledged_by == "ana"
    assert newest(store).body["reason"] == "created by mistake"
