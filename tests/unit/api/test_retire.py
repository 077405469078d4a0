"""Retiring consumes a GO once; every other step goes by the state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from monitor.adapters.sql import open_store, upgrade
from monitor.core.events import Reason
from monitor.core.instants import HOUR_MS
from monitor.ports import Scope
from tests.contract.store.factories import failure
from tests.unit.api.world import OLD, ROLLOVER, Api

RETIRE = f"/v1/rollovers/{ROLLOVER}/retire"


def step(api: Api, name: str, **body: object) -> int:
    return int(api.ask("POST", f"/v1/rollovers/{ROLLOVER}/{name}", json=body).status_code)


@pytest.mark.parametrize("before", ["", "freeze", "brownout", "disable"])
def test_a_go_retires_once_from_every_state_in_use_and_says_who(before: str) -> None:
    api = Api()
    if before:
        assert step(api, before) == 200
    answer = api.ask("POST", RETIRE, json={})
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["by"]) == ("retired", "t-admin")
    assert answer.json()["decision"]["decision"] == "GO"
    again = api.ask("POST", RETIRE, json={})
    assert again.status_code == 409
    assert "retired" in again.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_of_fifty_at_once_exactly_one_retires(kind: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    if kind == "sqlite":
        upgrade(url)
    api = Api(open_store(url) if kind == "sqlite" else None)
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: api.ask("POST", RETIRE, json={}).status_code, range(50)))
    assert sorted(statuses) == [200] + [409] * 49
    with api.store.snapshot() as snapshot:
        assert snapshot.state(ROLLOVER, api.time.now_ms).state == "retired"


def test_a_body_may_be_left_out() -> None:
    assert Api().ask("POST", RETIRE).status_code == 200


def test_without_go_nothing_is_retired_but_the_attempt_is_written_down() -> None:
    api = Api(moved=False)
    answer = api.ask("POST", RETIRE, json={})
    assert (answer.status_code, answer.json()["decision"]) == (409, "NO_GO")
    with api.store.snapshot() as snapshot:
        assert snapshot.state(ROLLOVER, api.time.now_ms).state == "overlap"
        assert snapshot.audit_entries(rollover=ROLLOVER, kind="decision")


def test_missing_evidence_retires_nothing() -> None:
    api = Api(watched=False)
    assert api.ask("POST", RETIRE, json={}).status_code == 503


def test_a_given_go_must_have_been_answered_and_still_be_valid() -> None:
    api = Api()
    assert api.ask("POST", RETIRE, json={"evidence_hash": "0" * 64}).status_code == 409
    known = api.decision().json()["evidence_hash"]
    assert api.ask("POST", RETIRE, json={"evidence_hash": known}).status_code == 200


def test_a_pin_vetoes_and_an_emergency_overrules_it_by_name_only() -> None:
    api = Api()
    pinned = api.ask("POST", f"/v1/rollovers/{ROLLOVER}/pins", json={"reason": "audit"})
    assert pinned.status_code == 201
    assert api.decision().status_code == 409
    assert api.ask("POST", RETIRE, json={}).status_code == 409
    assert step(api, "emergency", reason="leaked") == 409
    assert step(api, "emergency", reason="leaked", override_pin=True) == 200
    with api.store.snapshot() as snapshot:
        row = snapshot.audit_entries(rollover=ROLLOVER, kind="emergency")[0]
    assert row.body["by"] == "t-admin"
    assert row.body["override"]["pins"] == ["t-admin: audit"]


def test_a_waiver_clears_a_blocker_while_it_is_valid() -> None:
    api = Api(moved=False)
    waived = api.ask(
        "POST",
        f"/v1/rollovers/{ROLLOVER}/waivers",
        json={"client": "globex", "reason": "decommissioned", "from": "2026-05-01T00:00:00Z"},
    )
    assert waived.status_code == 201
    assert api.decision().status_code == 200
    assert api.ask("GET", "/v1/waivers").json()["waivers"][0]["by"] == "t-admin"


@pytest.mark.parametrize(
    ("steps", "statuses"),
    [
        (["freeze", "disable", "enable", "rollback"], [200, 200, 200, 200]),
        (["complete"], [409]),
        (["retire", "complete"], [200, 409]),
        (["retire", "rollback"], [200, 200]),
        (["rollback", "retire"], [200, 409]),
        (["disable", "freeze"], [200, 200]),
        (["rollback", "freeze"], [200, 409]),
    ],
    ids=lambda each: "-".join(map(str, each)),
)
def test_the_state_says_which_step_comes_next(steps: list[str], statuses: list[int]) -> None:
    api = Api()
    assert [step(api, each) for each in steps] == statuses


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        (None, RETIRE, 401),
        ("wrong", RETIRE, 401),
        (Scope.READ, RETIRE, 403),
        (Scope.READ, f"/v1/rollovers/{ROLLOVER}/freeze", 403),
        (Scope.OPERATE, f"/v1/rollovers/{ROLLOVER}/emergency", 403),
        (Scope.OPERATE, "/v1/rollovers/nope/retire", 404),
        (Scope.OPERATE, RETIRE, 200),
    ],
)
def test_a_step_needs_a_token_with_its_scope(token: str | None, path: str, status: int) -> None:
    assert Api().ask("POST", path, token=token, json={"reason": "x"}).status_code == status


def test_a_retirement_is_watched_before_it_is_complete_and_a_caller_still_rejected_keeps_it_open() -> None:
    api = Api()
    assert step(api, "retire") == 200
    retired_ms = api.time.now_ms
    assert step(api, "complete") == 409, "it is watched for two hours"
    api.time.now_ms += 3 * HOUR_MS
    api.feed.flush([failure(retired_ms + HOUR_MS, credential=OLD, client="globex", reason=Reason.REVOKED)])
    refused = api.ask("POST", f"/v1/rollovers/{ROLLOVER}/complete", json={})
    assert refused.status_code == 409
    assert "globex" in refused.json()["error"]["message"]


def test_a_retirement_that_nobody_felt_is_completed_after_the_watch() -> None:
    api = Api()
    assert step(api, "retire") == 200
    api.time.now_ms += 3 * HOUR_MS
    assert step(api, "complete") == 200


def test_with_the_two_person_rule_an_override_needs_somebody_else() -> None:
    api = Api()
    api.judge.two_person = True
    assert api.ask("POST", f"/v1/rollovers/{ROLLOVER}/pins", json={"reason": "audit"}).status_code == 201
    assert step(api, "emergency", reason="leaked", override_pin=True) == 409
    assert step(api, "emergency", reason="leaked", override_pin=True, approved_by="t-admin") == 409
    assert step(api, "emergency", reason="leaked", override_pin=True, approved_by="bo") == 200
