"""The ledger of evidence: append-only, chained, and any edit shows."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.chain import GENESIS, chain_hash
from monitor.core.decision import Verdict
from monitor.core.instants import MINUTE_MS
from monitor.ports import AuditEntry, Store
from tests.contract.store.factories import T0, decision, registered
from tests.contract.store.worlds import World

NAME = "billing-2026-05"


def filled(store: Store) -> list[AuditEntry]:
    """Write four rows; return them, oldest first."""
    with store.snapshot(write=True) as snapshot:
        rows = [
            snapshot.record(decision()),
            snapshot.audit("note", rollover=NAME, body={"text": "Zoë", "n": 1.5, "list": [1, None, True]}, at_ms=T0),
            snapshot.audit("note", rollover=None, body={}, at_ms=T0 + 1),
        ]
    with store.snapshot(write=True) as snapshot:
        rows.append(snapshot.record(decision("other", evaluated_at_ms=T0 + MINUTE_MS)))
    return rows


def test_rows_are_numbered_and_chained(store: Store) -> None:
    rows = filled(store)
    assert [each.seq for each in rows] == [1, 2, 3, 4]
    assert [each.prev_hash for each in rows] == [GENESIS, *(each.hash for each in rows[:-1])]
    assert [each.hash for each in rows] == [
        chain_hash(
            seq=each.seq,
            at_ms=each.at_ms,
            kind=each.kind,
            rollover=each.rollover,
            body=each.body,
            prev=each.prev_hash,
        )
        for each in rows
    ]
    assert not store.verify_audit()


def test_rows_come_back_as_they_were_newest_first(store: Store) -> None:
    rows = filled(store)
    with store.snapshot() as snapshot:
        assert list(snapshot.audit_entries()) == rows[::-1]
        assert list(snapshot.audit_entries(limit=2)) == [rows[3], rows[2]]
        assert list(snapshot.audit_entries(rollover=NAME)) == [rows[1], rows[0]]
        assert list(snapshot.audit_entries(kind="decision")) == [rows[3], rows[0]]
        assert list(snapshot.audit_entries(kind="decision", rollover=NAME)) == [rows[0]]
        assert not snapshot.audit_entries(kind="none")


def test_an_empty_ledger_is_whole(store: Store) -> None:
    assert not store.verify_audit()


@pytest.mark.parametrize(
    "edit",
    [
        {"at_ms": T0 + 7},
        {"kind": "override"},
        {"rollover": "another"},
        {"rollover": None},
        {"body": {"decision": "GO"}},
        {"hash": "0" * 64},
        {"prev_hash": "1" * 64},
    ],
)
@pytest.mark.parametrize("seq", [1, 2, 4])
def test_any_edit_shows(world: World, edit: dict[str, Any], seq: int) -> None:
    filled(world.store)
    world.edit_audit(seq, **edit)
    assert world.store.verify_audit()


@pytest.mark.parametrize("seq", [1, 2, 3, 4])
def test_a_removed_row_shows(world: World, seq: int) -> None:
    filled(world.store)
    world.remove_audit(seq)
    assert world.store.verify_audit()


def test_what_is_written_cannot_be_changed_by_its_writer_afterwards(store: Store) -> None:
    body: dict[str, Any] = {"list": [1]}
    with store.snapshot(write=True) as snapshot:
        snapshot.audit("note", rollover=None, body=body, at_ms=T0)
    body["list"].append(2)
    with store.snapshot() as snapshot:
        assert snapshot.audit_entries()[0].body == {"list": [1]}
    assert not store.verify_audit()


def test_a_recorded_decision_is_the_latest_evaluation_and_a_row_of_the_ledger(store: Store) -> None:
    made = decision()
    with store.snapshot(write=True) as snapshot:
        entry = snapshot.record(made)
    assert (entry.kind, entry.rollover, entry.at_ms) == ("decision", NAME, T0)
    assert entry.body == made.as_json()
    with store.snapshot() as snapshot:
        kept = snapshot.evaluations()[NAME]
    assert (kept.rollover, kept.evaluated_at_ms, kept.verdict, kept.body) == (NAME, T0, "NO_GO", made.as_json())


def test_an_evaluation_replaces_the_one_before_without_a_row(store: Store) -> None:
    registered(store)
    with store.snapshot(write=True) as snapshot:
        rows = len(snapshot.audit_entries())
        snapshot.put_evaluation(decision())
        snapshot.put_evaluation(decision(evaluated_at_ms=T0 + MINUTE_MS, verdict=Verdict.GO))
        snapshot.put_evaluation(decision("other"))
    with store.snapshot() as snapshot:
        kept = snapshot.evaluations()
        assert len(snapshot.audit_entries()) == rows
    assert {name: (each.verdict, each.evaluated_at_ms - T0) for name, each in kept.items()} == {
        NAME: ("GO", MINUTE_MS),
        "other": ("NO_GO", 0),
    }


def test_a_regions_verdict_is_recorded_and_is_not_the_rollovers(store: Store) -> None:
    with store.snapshot(write=True) as snapshot:
        snapshot.record(decision())
        snapshot.record(decision(region="eu", verdict=Verdict.GO))
        snapshot.put_evaluation(decision(region="us", verdict=Verdict.GO))
        assert snapshot.evaluations()[NAME].verdict == "NO_GO"
        assert snapshot.evaluation(NAME) == snapshot.evaluations()[NAME]
        assert snapshot.evaluation("another") is None
        assert len(snapshot.audit_entries(kind="decision")) == 2


def test_memos_are_kept_by_name_and_found_by_prefix(store: Store) -> None:
    with store.snapshot(write=True) as snapshot:
        snapshot.put_memo("slack/a", {"ts": "1"}, now_ms=T0)
        snapshot.put_memo("slack/b%", {"ts": "2", "deep": {"n": [1, 2]}}, now_ms=T0)
        snapshot.put_memo("slack_c", {"ts": "3"}, now_ms=T0)
        snapshot.put_memo("slack/a", {"ts": "4"}, now_ms=T0 + 1)
    with store.snapshot() as snapshot:
        assert snapshot.memo("slack/a") == {"ts": "4"}
        assert snapshot.memo("nothing") is None
        assert dict(snapshot.memos("slack/")) == {
            "slack/a": {"ts": "4"},
            "slack/b%": {"ts": "2", "deep": {"n": [1, 2]}},
        }
        assert dict(snapshot.memos("slack/b%")) == {"slack/b%": {"ts": "2", "deep": {"n": [1, 2]}}}
        assert list(snapshot.memos("slack_")) == ["slack_c"], "an underscore is no wildcard"
