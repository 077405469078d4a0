"""Who may see what, what is listed, and what is refused before anything is done."""

from __future__ import annotations

import pytest

from monitor.core.events import Outcome, Reason
from monitor.core.instants import MINUTE_MS
from monitor.ports import Scope
from tests.contract.store.factories import OLD, event
from tests.unit.api.world import ROLLOVER, Api

V1 = [
    "/v1/rollovers",
    f"/v1/rollovers/{ROLLOVER}",
    f"/v1/rollovers/{ROLLOVER}/decision",
    f"/v1/rollovers/{ROLLOVER}/decisions",
    f"/v1/rollovers/{ROLLOVER}/stragglers",
    f"/v1/rollovers/{ROLLOVER}/usage",
    f"/v1/rollovers/{ROLLOVER}/incidents",
    f"/v1/rollovers/{ROLLOVER}/propagation",
    f"/v1/rollovers/{ROLLOVER}/waivers",
    f"/v1/rollovers/{ROLLOVER}/pins",
    "/v1/stragglers",
    "/v1/usage?key=billing-api",
    "/v1/incidents",
    "/v1/waivers",
    "/v1/pins",
    "/v1/keys",
    "/v1/keys/billing-api",
    "/v1/rotations",
    f"/v1/rollovers/{ROLLOVER}/brownout",
    "/v1/alerts",
]


@pytest.fixture(scope="module")
def api() -> Api:
    return Api()


@pytest.mark.parametrize("path", V1)
def test_every_reading_route_needs_a_token_that_may_read(api: Api, path: str) -> None:
    assert api.ask("GET", path, token=None).status_code == 401
    assert api.ask("GET", path, token="rwt_wrong").status_code == 401
    answer = api.ask("GET", path, token=Scope.READ)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_revoked_token_is_no_token() -> None:
    api = Api()
    api.store.revoke_token("t-read", now_ms=api.time.now_ms)
    assert api.decision(token=Scope.READ).status_code == 401


@pytest.mark.parametrize(
    ("path", "loopback", "required", "status"),
    [
        ("/healthz", True, False, 200),
        ("/healthz", False, True, 200),
        ("/readyz", False, True, 200),
        ("/metrics", True, False, 200),
        ("/metrics", True, True, 401),
        ("/metrics", False, False, 401),
        ("/openapi.json", True, False, 200),
        ("/openapi.json", False, False, 401),
    ],
)
def test_what_is_open_depends_on_where_we_listen(path: str, loopback: bool, required: bool, status: int) -> None:
    api = Api(loopback=loopback, require_token=required)
    assert api.ask("GET", path, token=None).status_code == status
    assert api.ask("GET", path, token=Scope.READ).status_code == 200


def test_whoever_read_metrics_goes_on_reading_them_while_the_database_is_away_and_nothing_else() -> None:
    api = Api(loopback=False)
    assert api.ask("GET", "/metrics", token=Scope.READ).status_code == 200
    api.store.away = "gone"
    assert api.ask("GET", "/metrics", token=Scope.READ).status_code == 200
    assert api.ask("GET", "/metrics", token=Scope.OPERATE).status_code == 503, "nobody is let in unseen"
    assert api.ask("GET", "/v1/rollovers", token=Scope.READ).status_code == 503
    assert api.ask("GET", "/metrics", token=None).status_code == 401


def test_readiness_says_why_not() -> None:
    answer = Api(not_ready=lambda: ("Kafka has not answered yet",)).ask("GET", "/readyz", token=None)
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["Kafka has not answered yet"])


START = {"id": "next", "key": "billing-api", "from": 1, "to": 2, "started_at": "2026-05-10T00:00:00Z"}


def test_a_rollover_is_started_once_and_the_same_again_is_no_conflict() -> None:
    api = Api()
    assert [api.ask("POST", "/v1/rollovers", json=START).status_code for _ in range(2)] == [201, 200]
    assert api.ask("POST", "/v1/rollovers", json=START | {"deadline": "2026-06-10T00:00:00Z"}).status_code == 409
    assert {each["id"] for each in api.ask("GET", "/v1/rollovers").json()["rollovers"]} == {ROLLOVER, "next"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": "nope"}, 404),
        ({"to": 9}, 404),
        ({"to": 1}, 422),
        ({"deadline": "2026-05-01T00:00:00Z"}, 422),
        ({"started_at": "2026-05-10T00:00:00"}, 422),
        ({"policy": {"quiet_windw": "3d"}}, 422),
        ({"policy": {"quiet_window": 3}}, 422),
        ({"surprise": 1}, 422),
        ({"id": ""}, 422),
        ({"id": "a\x00b"}, 422),
        ({"id": "a\x1b[2Jb"}, 422),
        ({"id": "team/billing"}, 422),
        ({"channel": "#a\nb"}, 422),
    ],
    ids=str,
)
def test_a_rollover_that_cannot_be_meant_is_refused(change: dict[str, object], status: int) -> None:
    answer = Api().ask("POST", "/v1/rollovers", json=START | change)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_list_shows_no_go_of_yesterday_and_no_verdict_of_what_is_over() -> None:
    api = Api()
    listed = lambda: api.ask("GET", "/v1/rollovers").json()["rollovers"][0]["decision"]  # noqa: E731
    with api.store.snapshot(write=True) as snapshot:
        snapshot.put_evaluation(api.judge.decide_one(snapshot, ROLLOVER, now_ms=api.time.now_ms))
    assert listed() == "GO"
    api.time.now_ms += api.judge.stale_after_ms + 1
    assert listed() == "UNKNOWN"
    assert api.ask("GET", f"/v1/rollovers/{ROLLOVER}").json()["decision"] == "UNKNOWN"
    assert api.ask("POST", f"/v1/rollovers/{ROLLOVER}/rollback", json={"reason": "v2 fails"}).status_code == 200
    assert listed() is None


def test_stragglers_are_named_with_their_last_use() -> None:
    api = Api(moved=False)
    found = api.ask("GET", f"/v1/rollovers/{ROLLOVER}/stragglers").json()["stragglers"]
    assert ("globex", "batch") in {(each["client"], each["source"]) for each in found}
    assert all(each["last_success"] for each in found)


def test_use_is_told_per_version_in_steps() -> None:
    api = Api()
    answer = api.ask("GET", "/v1/usage", params={"key": "billing-api", "step": "1d", "until": "2026-05-13T00:00:00Z"})
    assert {each["version"] for each in answer.json()["usage"]} == {2}
    for wrong in ({"step": "7s"}, {"step": "soon"}, {"from": "2027-01-01T00:00:00Z"}, {"from": "yesterday"}):
        given = {"key": "billing-api", **wrong}
        assert api.ask("GET", "/v1/usage", params=given).status_code == 422
    assert api.ask("GET", "/v1/usage", params={"key": "nope"}).status_code == 404


def test_a_key_is_put_and_shown_in_the_words_of_the_file() -> None:
    api = Api()
    body = {"owner": {"team": "search"}, "versions": [{"version": 1, "credentials": ["fp_1"]}]}
    assert api.ask("PUT", "/v1/keys/search", json=body).json()["changed"] is True
    assert api.ask("PUT", "/v1/keys/search", json=body).json()["changed"] is False
    assert api.ask("GET", "/v1/keys/search").json()["owner"] == {"team": "search"}
    taken = {"versions": [{"version": 1, "credentials": ["cred-a1"]}]}
    assert api.ask("PUT", "/v1/keys/other", json=taken).status_code == 422
    assert api.ask("PUT", "/v1/keys/search", json=body | {"key": "another"}).status_code == 422


def test_tokens_are_made_shown_once_and_revoked_by_admins_only() -> None:
    api = Api()
    assert api.ask("POST", "/v1/tokens", token=Scope.OPERATE, json={"name": "ci", "scope": "read"}).status_code == 403
    made = api.ask("POST", "/v1/tokens", json={"name": "ci", "scope": "read"}).json()["token"]
    assert api.decision(token=made).status_code == 200
    assert made not in api.ask("GET", "/v1/tokens").text
    assert api.ask("DELETE", "/v1/tokens/ci").status_code == 200
    assert api.decision(token=made).status_code == 401


def test_an_unknown_path_and_a_wrong_method_have_the_same_shape_of_answer(api: Api) -> None:
    for method, path, status in (("GET", "/v1/nope", 404), ("PUT", "/v1/rollovers", 405)):
        answer = api.ask(method, path)
        assert (answer.status_code, set(answer.json())) == (status, {"error"})
        assert answer.headers["cache-control"] == "no-store"


def test_more_than_a_megabyte_is_not_read(api: Api) -> None:
    answer = api.ask("POST", "/v1/rollovers", content=b"x" * 2_000_000)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "too_large")


def test_metrics_know_their_names_before_the_first_event(api: Api) -> None:
    text = api.ask("GET", "/metrics", token=None).text
    for name in (
        "rollwatch_ingest_lag_records",
        "rollwatch_ingest_records_total",
        "rollwatch_ingest_rejects_total",
        "rollwatch_ingest_last_flush_timestamp_seconds",
        "rollwatch_decision",
        "rollwatch_evaluation_timestamp_seconds",
    ):
        assert f"# TYPE {name} " in text or f"# TYPE {name.removesuffix('_total')} " in text


def test_it_answers_behind_a_prefix_whether_the_proxy_cuts_it_or_not() -> None:
    api = Api(prefix="/rollwatch")
    assert api.ask("GET", "/healthz", token=None).status_code == 200
    assert api.ask("GET", "/rollwatch/healthz", token=None).status_code == 200


def test_the_interface_describes_itself_with_examples(api: Api) -> None:
    described = api.ask("GET", "/openapi.json", token=None).json()
    decision = described["paths"]["/v1/rollovers/{rollover}/decision"]["get"]
    assert {"200", "401", "403", "404", "409", "503"} <= set(decision["responses"])
    assert "examples" in described["components"]["schemas"]["DecisionBody"]


def test_a_brownout_is_planned_in_the_hours_of_those_who_hold() -> None:
    api = Api(moved=False)
    planned = api.ask("GET", f"/v1/rollovers/{ROLLOVER}/brownout").json()
    named = [*planned["unreached"], *(hit for window in planned["windows"] for hit in window["hit"])]
    assert {each["client"] for each in named} == {"globex"}
    assert [each["from"] for each in planned["windows"]] == sorted(each["from"] for each in planned["windows"])
    assert api.ask("GET", "/v1/rollovers/nope/brownout").status_code == 404


def test_a_brownout_is_measured_while_it_runs_and_ended_when_it_hits_somebody_who_had_moved() -> None:
    api = Api(moved=False)
    measured = f"/v1/rollovers/{ROLLOVER}/brownout/measured"
    assert api.ask("GET", measured).status_code == 409
    assert api.ask("POST", f"/v1/rollovers/{ROLLOVER}/brownout").status_code == 200
    quiet = api.ask("GET", measured).json()
    assert (quiet["refused"], quiet["holding"], quiet["abort"]) == ([], 1, None)

    refused = {"credential": OLD, "outcome": Outcome.FAILURE, "reason": Reason.REVOKED}
    api.time.now_ms += 10 * MINUTE_MS
    api.feed.flush([event(api.time.now_ms - MINUTE_MS, client="globex", source="batch", **refused)])
    expected = api.ask("GET", measured).json()
    assert expected["refused"] == [{"client": "globex", "source": "batch"}]
    assert (expected["unexpected"], expected["abort"]) == ([], None)
    assert "at most 0" in api.ask("GET", measured, params={"accept": 0}).json()["abort"]

    api.feed.flush([event(api.time.now_ms - 1, **refused)])
    surprised = api.ask("GET", measured).json()
    assert surprised["unexpected"] == [{"client": "acme", "source": "prod"}]
    assert "acme/prod" in surprised["abort"]


def test_a_key_that_needs_a_new_version_is_named_with_its_dates() -> None:
    api = Api()
    assert api.ask("GET", "/v1/rotations").json()["rotations"][0]["state"] == "rolling"
