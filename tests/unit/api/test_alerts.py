"""Alerts over HTTP: what was told and why; taking an episode on."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.instants import HOUR_MS, rfc3339
from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from monitor.ports import Scope
from tests.alert_factories import alert
from tests.contract.store.factories import registry
from tests.unit.api.world import NOW, Api

EPISODE = "failed_rollover:billing-2026-05"


@pytest.fixture
def api() -> Api:
    made = Api()
    with made.store.snapshot(write=True) as snapshot:
        Notifier(NotifySettings(senders=("webhook",))).tell(snapshot, [alert(at_ms=NOW)], registry(), now_ms=NOW)
    return made


def kept(api: Api) -> dict[str, Any]:
    with api.store.snapshot() as snapshot:
        return dict(snapshot.memo(f"notify:episode:{EPISODE}") or {})


def test_each_alert_says_whether_somebody_was_told_and_why(api: Api) -> None:
    (told,) = api.ask("GET", "/v1/alerts", token=Scope.READ).json()["alerts"]
    assert (told["notified"], told["reason"], told["alert"]["episode"]) == (True, "first", EPISODE)


def test_an_operator_acknowledges_and_snoozes_under_the_tokens_name(api: Api) -> None:
    assert api.ask("POST", "/v1/alerts/acknowledge", json={"episode": EPISODE}, token=Scope.OPERATE).status_code == 200
    assert kept(api)["acknowledged_by"] == "t-operate"
    until = {"episode": EPISODE, "until": rfc3339(NOW + HOUR_MS)}
    assert api.ask("POST", "/v1/alerts/snooze", json=until, token=Scope.OPERATE).status_code == 200
    assert kept(api)["snoozed_until_ms"] == NOW + HOUR_MS


@pytest.mark.parametrize(
    ("path", "token", "given", "status"),
    [
        pytest.param("acknowledge", Scope.READ, {"episode": EPISODE}, 403, id="who may only read"),
        pytest.param("acknowledge", None, {"episode": EPISODE}, 401, id="nobody"),
        pytest.param("acknowledge", Scope.OPERATE, {"episode": "no-such"}, 404, id="nobody was told of it"),
        pytest.param("snooze", Scope.OPERATE, {"episode": EPISODE, "until": "soon"}, 422, id="no time"),
    ],
)
def test_what_is_refused(api: Api, path: str, token: Any, given: dict[str, str], status: int) -> None:
    assert api.ask("POST", f"/v1/alerts/{path}", json=given, token=token).status_code == status
    assert kept(api)["acknowledged_by"] is None
