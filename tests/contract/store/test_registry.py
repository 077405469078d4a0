"""The registry as it is stored: idempotent imports, sources, and the changes that the gate feels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.registry import (
    Gateway,
    Key,
    KeyVersion,
    Noise,
    Owner,
    Pin,
    RegionWindow,
    Registry,
    Unmanaged,
    Waiver,
)
from monitor.errors import RegistryError
from monitor.ports import ImportReport, Store
from tests.contract.store.factories import NEW, OLD, T0, key, registry, rollover

NAME = "billing-2026-05"
FULL = registry(
    keys=(
        key(
            owner=Owner(
                team="payments",
                slack="#p",
                timezone="Europe/Berlin",
                email="p@example.org",
                person="@ana",
                working_hours="09:00-17:00",
                escalation="#oncall",
            ),
            clients=("acme", "globex"),
            tier="gold",
            rotate_every_ms=90 * DAY_MS,
        ),
        key("zeta", old=["z1", "z1b"], new=["z2"]),
        key("alpha", old=["x1"], new=["x2"]),
    ),
    gateways=(
        Gateway(gateway="edge-1", region="eu"),
        Gateway(gateway="edge-1", region=None, max_silence_ms=6 * HOUR_MS, from_ms=T0, until_ms=T0 + DAY_MS),
    ),
    rollovers=(
        rollover(
            deadline_ms=T0 + 30 * DAY_MS,
            channel="#rotation",
            policy=(("allow_short_lookback", True), ("brownout_steps", ("5m", "1h")), ("gap_factor", 2.5)),
            regions=(RegionWindow(region="eu", started_at_ms=T0 + 1), RegionWindow(region="us", deadline_ms=T0 + 2)),
        ),
    ),
    pins=(
        Pin(key="zeta", version=1, reason="kept", by="ana", until_ms=T0),
        Pin(key="zeta", version=1, reason="a", by="b"),
    ),
    waivers=(
        Waiver(rollover=NAME, client="globex", source="lab", reason="gone", by="ana", from_ms=T0, until_ms=T0 + 9),
        Waiver(rollover=NAME, client="globex", reason="gone", by="ana"),
    ),
    unmanaged=(
        Unmanaged(credential="legacy", reason="r", by="ana", until_ms=T0),
        Unmanaged(client="cron", reason="r", by="ana"),
        Unmanaged(gateway="lab", reason="r", by="ana"),
    ),
    noise=(Noise(client="probe", source="s", reason="synthetic", by="ana", until_ms=T0, max_per_day=3000),),
)


def imported(store: Store, given: Registry, *, source: str = "keys.yaml", at_ms: int = T0) -> ImportReport:
    return store.import_registry(given, source=source, by="ana", now_ms=at_ms)


def test_a_new_store_has_an_empty_registry(store: Store) -> None:
    assert store.registry()[1] == Registry()


def test_what_was_imported_is_given_back_field_by_field(store: Store) -> None:
    report = imported(store, FULL)
    assert store.registry() == (report.revision, FULL)
    with store.snapshot() as snapshot:
        assert snapshot.registry() == FULL
    assert report.changed
    assert {"key:billing-api", "key:zeta", "key:alpha", f"rollover:{NAME}"} <= set(report.added)
    assert (report.updated, report.removed, dict(report.changes)) == ((), (), {})


def test_the_same_import_again_changes_nothing_and_is_not_audited(store: Store) -> None:
    first = imported(store, FULL)
    with store.snapshot() as snapshot:
        before = snapshot.audit_entries()
    again = imported(store, FULL, at_ms=T0 + 5)
    assert (again.changed, again.revision) == (False, first.revision)
    assert (again.added, again.updated, again.removed, dict(again.changes)) == ((), (), (), {})
    with store.snapshot() as snapshot:
        assert snapshot.audit_entries() == before


def test_an_import_that_changes_something_is_audited_by_name(store: Store) -> None:
    imported(store, FULL, at_ms=T0 + 5)
    with store.snapshot() as snapshot:
        newest = snapshot.audit_entries()[0]
    assert (newest.at_ms, newest.body["by"], newest.body["source"]) == (T0 + 5, "ana", "keys.yaml")


def test_every_change_raises_the_revision(store: Store) -> None:
    revisions = [
        imported(store, registry()).revision,
        imported(store, FULL).revision,
        store.put_key(key("omega", old=["o1"], new=["o2"]), by="bo", now_ms=T0).revision,
        imported(store, registry()).revision,
    ]
    assert revisions == sorted(set(revisions))
    assert store.registry()[0] == revisions[-1]


def test_what_a_source_no_longer_has_goes_and_other_sources_stay(store: Store) -> None:
    imported(store, FULL)
    store.put_key(key("omega", old=["o1"], new=["o2"]), by="bo", now_ms=T0)
    imported(store, Registry(gateways=(Gateway(gateway="edge-9"),)), source="other.yaml")
    report = imported(store, registry())
    assert {"key:zeta", "key:alpha"} <= set(report.removed)
    held = store.registry()[1]
    assert {each.key for each in held.keys} == {"billing-api", "omega"}
    assert {each.gateway for each in held.gateways} == {"edge-1", "edge-9"}
    assert not held.pins


def test_an_entry_that_another_source_had_is_taken_over(store: Store) -> None:
    store.put_key(key(tier="api"), by="bo", now_ms=T0)
    report = imported(store, registry())
    assert "key:billing-api" in report.updated
    assert store.registry()[1].keys == (key(),)
    imported(store, Registry())
    assert not store.registry()[1].keys, "it was the file's, and the file no longer has it"


def test_a_key_can_be_added_and_replaced_alone(store: Store) -> None:
    imported(store, registry())
    added = store.put_key(key("omega", old=["o1"], new=["o2"]), by="bo", now_ms=T0)
    assert (added.added, added.updated, added.removed) == (("key:omega",), (), ())
    replaced = store.put_key(key("omega", old=["o1"], new=["o2", "o3"]), by="bo", now_ms=T0)
    assert (replaced.added, replaced.updated, replaced.removed) == ((), ("key:omega",), ())
    assert store.put_key(key("omega", old=["o1"], new=["o2", "o3"]), by="bo", now_ms=T0).changed is False
    assert store.registry()[1].version_of["o3"] == ("omega", 2)


def change_of(store: Store, given: Registry) -> dict[str, list[int]]:
    report = imported(store, given, at_ms=T0 + 77)
    return {name: [each.at_ms for each in changes] for name, changes in report.changes.items()}


@pytest.mark.parametrize(
    ("given", "felt", "why"),
    [
        (registry(keys=(key(new=[NEW, "cred-a3"]),)), 0, "one more credential hides nothing"),
        (registry(keys=(key(tier="gold", owner=Owner(team="t")),)), 0, "whom to tell is no evidence"),
        (registry(rollovers=(rollover(deadline_ms=T0 + DAY_MS),)), 0, "a deadline is no evidence"),
        (registry(rollovers=(rollover(policy=(("settle", "1h"),)),)), 1, "another policy judges differently"),
        (registry(keys=(key(old=["cred-x"]),)), 1, "a credential left its version: its uses are no longer seen"),
        (registry(keys=(key(old=["cred-x"], new=[NEW, OLD]),)), 1, "moved: uses of the old look like uses of the new"),
    ],
)
def test_the_gate_feels_a_policy_that_differs_and_a_credential_that_left(
    store: Store, given: Registry, felt: int, why: str
) -> None:
    assert imported(store, registry()).changes == {}
    assert change_of(store, given) == ({"billing-api": [T0 + 77] * felt} if felt else {}), why
    with store.snapshot() as snapshot:
        assert [each.at_ms for each in snapshot.key(NAME, T0 + DAY_MS).changes] == [T0 + 77] * felt


def test_a_key_that_is_taken_out_is_felt_by_a_rollover_of_a_later_import(store: Store) -> None:
    imported(store, registry())
    imported(store, Registry(), at_ms=T0 + 5)
    imported(store, registry(), at_ms=T0 + 6)
    with store.snapshot() as snapshot:
        assert {each.at_ms for each in snapshot.key(NAME, T0 + DAY_MS).changes} == {T0 + 5}


def test_another_rollovers_policy_is_not_felt(store: Store) -> None:
    both = (rollover(), rollover("second"))
    imported(store, registry(rollovers=both))
    imported(store, registry(rollovers=(both[0], replace(both[1], policy=(("settle", "1h"),)))))
    with store.snapshot() as snapshot:
        assert not snapshot.key(NAME, T0).changes
        assert len(snapshot.key("second", T0).changes) == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Registry(rollovers=(rollover(key="nope"),)), "an unknown key"),
        (Registry(keys=(key("other", old=[OLD], new=["n"]),)), "a credential of another source's key"),
        (registry(keys=(key(old=[OLD], new=[OLD]),)), "a credential in two versions"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(store: Store, given: Registry, why: str) -> None:
    imported(store, registry())
    before = store.registry()
    with pytest.raises(RegistryError):
        imported(store, given, source="other.yaml")
    assert store.registry() == before, why
    with pytest.raises(RegistryError):
        store.put_key(Key(key="b", versions=(KeyVersion(version=1, credentials=(NEW,)),)), by="bo", now_ms=T0)
    assert store.registry() == before


def test_the_key_of_a_rollover_that_another_source_needs_cannot_be_taken_out(store: Store) -> None:
    imported(store, Registry(keys=(key(),)))
    with store.snapshot(write=True) as snapshot:
        snapshot.start_rollover(rollover(), by="ana", now_ms=T0)
    with pytest.raises(RegistryError):
        imported(store, Registry())
    assert store.registry()[1].key_by_name.keys() == {"billing-api"}


def test_the_lifecycle_survives_an_import(store: Store) -> None:
    imported(store, registry())
    with store.snapshot(write=True) as snapshot:
        snapshot.transition(NAME, expected="overlap", to="retired", by="ana", reason="GO", now_ms=T0 + 9)
        snapshot.pin(Pin(key="billing-api", version=1, reason="kept", by="bo"), now_ms=T0)
    imported(store, registry(rollovers=(rollover(channel="#new"),)), at_ms=T0 + 20)
    with store.snapshot() as snapshot:
        state = snapshot.state(NAME, T0 + 30)
        held = snapshot.registry()
    assert (state.state, state.since_ms, state.by) == ("retired", T0 + 9, "ana")
    assert (state.rollover.channel, state.rollover.retired_at_ms) == ("#new", T0 + 9)
    assert held.rollovers[0].retired_at_ms == T0 + 9
    assert [each.by for each in held.pins] == ["bo"], "what was pinned by hand is not the file's to remove"


def test_thousands_of_keys_are_imported_in_one_go(store: Store) -> None:
    keys = tuple(key(f"k{n}", old=[f"o{n}"], new=[f"n{n}"]) for n in range(2_000))
    imported(store, Registry(keys=keys))
    assert store.registry()[1].keys == keys
    assert imported(store, Registry(keys=keys)).changed is False
    assert len(imported(store, Registry(keys=keys[:10])).removed) == 1_990
