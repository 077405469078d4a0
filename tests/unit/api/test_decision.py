"""The verdict over HTTP fails closed, whatever goes wrong behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.core.instants import MINUTE_MS
from monitor.errors import StoreAway, StoreRefused
from monitor.ports import Token
from tests.unit.api.world import ROLLOVER, Api

CONTRACT = {
    "rollover",
    "key",
    "from_version",
    "to_version",
    "decision",
    "evaluated_at",
    "valid_until",
    "evidence_hash",
    "clauses",
    "blockers",
    "blast_radius",
    "eta",
}


class Failing(MemoryStore):
    """A store that does something instead of giving a snapshot."""

    instead: Callable[[], None] | None = None
    instead_of_writing: Callable[[], None] | None = None
    no_tokens: Callable[[], None] | None = None

    def snapshot(self, *, write: bool = False) -> AbstractContextManager[Any]:
        act = self.instead_of_writing if write else self.instead
        if act is not None:
            act()
        return super().snapshot(write=write)

    def token(self, sha256: str) -> Token | None:
        if self.no_tokens is not None:
            self.no_tokens()
        return super().token(sha256)


def away() -> None:
    raise StoreAway("connection refused")


def test_go_is_200_and_names_what_may_be_retired() -> None:
    answer = Api().decision()
    body = answer.json()
    assert answer.status_code == 200
    assert body.keys() >= CONTRACT
    assert (body["decision"], body["key"], body["from_version"]) == ("GO", "billing-api", 1)
    assert body["blockers"] == []
    assert answer.headers["cache-control"] == "no-store"


def test_no_go_is_409_with_a_blocker_that_says_who_and_what_would_clear_it() -> None:
    answer = Api(moved=False).decision()
    body = answer.json()
    assert answer.status_code == 409
    assert body["decision"] == "NO_GO"
    named = [each for each in body["blockers"] if each["caller"] == {"client": "globex", "source": "batch"}]
    assert named
    assert named[0]["what_would_clear_it"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda api: setattr(api.time, "now_ms", api.time.now_ms + 10 * MINUTE_MS), "C2"),
        (lambda api: api.watched("still learning"), "still learning"),
    ],
    ids=["Kafka was not asked for ten minutes", "the detector is not ready"],
)
def test_missing_evidence_is_503(spoil: Callable[[Api], None], says: str) -> None:
    api = Api()
    spoil(api)
    answer = api.decision()
    assert (answer.status_code, answer.json()["decision"]) == (503, "UNKNOWN")
    assert says in answer.text


def test_a_watch_loop_that_died_reads_as_unknown_not_as_yesterdays_go() -> None:
    api = Api()
    assert api.decision().status_code == 200
    api.time.now_ms += 4 * MINUTE_MS
    api.probed()
    answer = api.decision()
    assert answer.status_code == 503
    assert "nobody watches" in answer.text


def test_a_daemon_that_never_watched_reads_as_unknown() -> None:
    assert "nobody watches" in Api(watched=False).decision().text


@pytest.mark.parametrize("status", [200, 409, 503])
def test_always_ok_has_the_same_body_with_200(status: int) -> None:
    api = {200: Api, 409: lambda: Api(moved=False), 503: lambda: Api(watched=False)}[status]()
    strict, lax = api.decision(), api.decision(params={"always_ok": "true"})
    assert (strict.status_code, lax.status_code) == (status, 200)
    assert strict.json()["decision"] == lax.json()["decision"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (away, "connection refused"),
        (lambda: (_ for _ in ()).throw(StoreRefused("it is a standby")), "it is a standby"),
        (lambda: (_ for _ in ()).throw(ZeroDivisionError("secret detail")), "ZeroDivisionError"),
    ],
    ids=["the database is away", "the database refuses", "a fault of our own"],
)
@pytest.mark.parametrize("where", ["instead", "instead_of_writing", "no_tokens"])
def test_any_fault_is_unknown_with_its_name_in_the_contracts_shape(
    fault: Callable[[], None], says: str, where: str
) -> None:
    store = Failing()
    api = Api(store)
    assert api.decision().status_code == 200
    setattr(store, where, fault)
    answer = api.decision()
    if where == "no_tokens" and says == "ZeroDivisionError":
        assert answer.status_code == 500
        return
    body = answer.json()
    assert answer.status_code == 503
    assert body.keys() >= CONTRACT
    assert (body["decision"], body["rollover"]) == ("UNKNOWN", ROLLOVER)
    assert body["blockers"]
    assert says in answer.text
    assert "secret detail" not in answer.text
    assert body["key"] == (None if where == "no_tokens" else "billing-api")


def test_a_database_that_hangs_is_unknown_in_time() -> None:
    store = Failing()
    api = Api(store, decision_timeout_seconds=0.2)
    held = threading.Event()
    store.instead = lambda: held.wait(10) and None
    try:
        answer = api.decision()
    finally:
        held.set()
    assert (answer.status_code, answer.json()["decision"]) == (503, "UNKNOWN")
    assert "0.2 s" in answer.text


def test_an_unknown_rollover_is_404() -> None:
    assert Api().ask("GET", "/v1/rollovers/nope/decision").status_code == 404


def test_what_was_answered_is_in_the_ledger_and_an_unchanged_no_go_is_there_once() -> None:
    api = Api(moved=False)
    hashes = [api.decision().json()["evidence_hash"] for _ in range(3)]
    with api.store.snapshot() as snapshot:
        rows = snapshot.audit_entries(rollover=ROLLOVER, kind="decision")
    assert len(set(hashes)) == 1
    assert [row.body["evidence_hash"] for row in rows] == hashes[:1]


def test_each_go_is_a_row_of_its_own() -> None:
    api = Api()
    for _ in range(3):
        assert api.decision().status_code == 200
    with api.store.snapshot() as snapshot:
        assert len(snapshot.audit_entries(rollover=ROLLOVER, kind="decision")) == 3


def test_a_region_is_decided_by_itself() -> None:
    answer = Api().decision(params={"region": "eu"})
    assert answer.json()["region"] == "eu"


def test_a_refused_keys_file_is_said_in_the_decision() -> None:
    api = Api()
    with api.store.snapshot(write=True) as snapshot:
        snapshot.put_memo("keys_file", {"error": "keys.yaml:3: unknown field"}, now_ms=api.time.now_ms)
    assert any("keys.yaml:3" in each for each in api.decision().json()["telemetry_notes"])
