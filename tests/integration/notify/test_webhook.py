"""What leaves to everything that is not Slack: its shape, its signature, and where it never goes."""

from __future__ import annotations

import hmac
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from monitor.adapters.egress import Egress, check_url, post
from monitor.adapters.webhook import AlertmanagerCourier, PagerDutyCourier, WebhookCourier
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.errors import ConfigError, Undeliverable, Undelivered
from monitor.notify import bodies
from monitor.notify.samples import sample_alert
from monitor.notify.telling import TELLS
from tests.alert_factories import alert
from tests.contract.store.factories import T0
from tests.integration.notify.receiver import Received, Receiver

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[3] / "docs" / "reference" / "webhook.schema.json").read_text("utf-8")
)
HOME = Egress(allow_private=True, timeout_seconds=2)
SECRET = "a-shared-secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


def body(told: Alert, why: str = "first") -> dict[str, Json]:
    return bodies.alert(channel="webhook", told=told, why=why, thread_of=None)


def ended(told: Alert) -> Alert:
    return alert(AlertKind.RESOLVED, episode=told.episode, at_ms=told.at_ms + 60_000, severity=AlertSeverity.INFO)


def only(receiver: Receiver) -> tuple[Received, Any]:
    (got,) = receiver.got
    receiver.got.clear()
    return got, json.loads(got.body)


@pytest.mark.parametrize("kind", list(AlertKind))
def test_every_kind_arrives_as_the_schema_says(receiver: Receiver, kind: AlertKind) -> None:
    courier = WebhookCourier(url=receiver.url, secret=SECRET, egress=HOME, now_ms=lambda: T0)
    courier.deliver(body(sample_alert(kind, T0)), key="k", places={})
    got, sent = only(receiver)
    jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True).validate(sent)
    assert got.headers["content-type"].startswith("application/cloudevents+json")
    assert sent["type"].endswith(kind.value)


def test_the_schema_knows_every_kind_and_every_reason_and_refuses_others() -> None:
    assert set(SCHEMA["$defs"]["alert"]["properties"]["kind"]["enum"]) == {each.value for each in AlertKind}
    assert set(SCHEMA["properties"]["data"]["properties"]["reason"]["enum"]) == {each.value for each in TELLS}
    assert set(SCHEMA["$defs"]["alert"]["required"]) == set(alert().as_json())
    assert not jsonschema_rs.is_valid(SCHEMA, {"specversion": "1.0"})


def test_a_receiver_can_tell_that_it_is_ours_and_how_old_and_whether_it_had_it_before(receiver: Receiver) -> None:
    courier = WebhookCourier(url=receiver.url, secret=SECRET, egress=HOME, now_ms=lambda: T0 + 999)
    for _ in range(2):
        courier.deliver(body(alert()), key="k", places={})
    first, second = receiver.got
    stamp = first.headers["x-rollwatch-timestamp"]
    assert stamp == str(T0 // 1000)
    expected = hmac.digest(SECRET.encode(), stamp.encode() + b"." + first.body, "sha256").hex()
    assert first.headers["x-rollwatch-signature"] == f"v1={expected}"
    assert json.loads(first.body)["id"] == json.loads(second.body)["id"]
    assert SECRET.encode() not in first.body


def test_alertmanager_gets_one_alert_an_episode_that_stays_open_until_its_end(receiver: Receiver) -> None:
    wiki = "https://wiki.example/runbooks/"
    courier = AlertmanagerCourier(url=f"http://127.0.0.1:{receiver.port}/", egress=HOME, runbook_url=wiki)
    told = alert(cause="stale_gateway", gateway="edge-1")
    place = courier.deliver(body(told), key="k", places={})
    got, (begun,) = only(receiver)
    assert got.path == "/api/v2/alerts"
    assert begun["labels"]["alertname"] == "Rollwatch"
    assert begun["annotations"]["runbook_url"] == f"{wiki}stale-gateway.md"
    assert begun["startsAt"] == told.as_json()["at"]
    assert begun["endsAt"] > "2026-05-30", "without an end it would be over after five minutes"
    end = body(ended(told), "resolved")
    courier.deliver(end, key="k2", places={str(end["handle"]): place})
    _, (over,) = only(receiver)
    assert over["labels"] == begun["labels"], "an alert is known by its labels"
    assert over["endsAt"] == ended(told).as_json()["at"]


def test_pagerduty_triggers_and_resolves_by_one_dedup_key(receiver: Receiver) -> None:
    courier = PagerDutyCourier(url=receiver.url, routing_key="R0", egress=HOME)
    courier.deliver(body(alert(severity=AlertSeverity.CRITICAL)), key="k", places={})
    _, begun = only(receiver)
    assert {"routing_key", "event_action", "dedup_key", "payload"} == set(begun)
    assert (begun["event_action"], begun["payload"]["severity"]) == ("trigger", "critical")
    assert {"summary", "source", "severity"} <= set(begun["payload"])
    assert len(begun["payload"]["summary"]) <= 1_024
    courier.deliver(body(ended(alert()), "resolved"), key="k2", places={})
    _, over = only(receiver)
    assert (over["event_action"], over["dedup_key"]) == ("resolve", begun["dedup_key"])


@pytest.mark.parametrize(
    ("status", "headers", "again", "wait"),
    [
        pytest.param(500, {}, True, None, id="its trouble passes"),
        pytest.param(503, {"Retry-After": "7"}, True, 7.0, id="it says when"),
        pytest.param(429, {"Retry-After": "soon"}, True, None, id="it says it badly"),
        pytest.param(408, {}, True, None, id="it was too slow"),
        pytest.param(404, {}, False, None, id="there is nothing there"),
        pytest.param(400, {}, False, None, id="it will never take it"),
    ],
)
def test_what_is_worth_another_try(
    receiver: Receiver, status: int, headers: dict[str, str], *, again: bool, wait: float | None
) -> None:
    receiver.status, receiver.headers = status, headers
    with pytest.raises(Undelivered) as caught:
        post(receiver.url, b"{}", {}, HOME)
    assert caught.value.retryable is again
    assert caught.value.retry_after_seconds == wait


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with Receiver() as inner:
        receiver.status, receiver.headers = 307, {"Location": inner.url}
        with pytest.raises(Undeliverable, match="redirects are not followed"):
            post(receiver.url, b"{}", {}, HOME)
        assert inner.got == []


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("[::1]", id="loopback of IPv6"),
        pytest.param("10.1.2.3", id="private"),
        pytest.param("192.168.0.9", id="private at home"),
        pytest.param("169.254.169.254", id="the cloud's metadata, link-local"),
        pytest.param("[fe80::1]", id="link-local of IPv6"),
        pytest.param("[fd00::1]", id="unique local"),
        pytest.param("100.64.0.1", id="carrier's own"),
        pytest.param("0.0.0.0", id="this host"),  # noqa: S104 - to be refused
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("[::ffff:10.0.0.1]", id="IPv4 inside of IPv6"),
        pytest.param("[64:ff9b::7f00:1]", id="IPv4 behind NAT64"),
        pytest.param("[2002:7f00:1::]", id="IPv4 by 6to4"),
        pytest.param("2130706433", id="loopback as one number"),
        pytest.param("localhost", id="a name of loopback"),
    ],
)
def test_no_address_inside_is_reached_unless_allowed(host: str) -> None:
    with pytest.raises(Undelivered, match=r"no public address|cannot be resolved"):
        post(f"https://{host}:9/", b"{}", {}, Egress(timeout_seconds=0.2))


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://hooks.example/x", id="plain http"),
        pytest.param("https://user:password@hooks.example/", id="a password in it"),
        pytest.param("ftp://hooks.example/", id="another scheme"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("https:///nowhere", id="no host"),
    ],
)
def test_an_address_that_will_never_be_allowed_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url, Egress())
    assert "password@" not in str(caught.value)


def test_a_name_is_looked_up_once_and_the_checked_address_is_the_one_that_is_reached(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int, **_given: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert post(f"http://hooks.example:{receiver.port}/x", b"{}", {}, HOME) == 202
    assert asked == ["hooks.example"]
    assert receiver.got[0].headers["host"].startswith("hooks.example")
    asked.clear()
    with pytest.raises(Undeliverable, match="no public address"):
        post(f"https://hooks.example:{receiver.port}/x", b"{}", {}, Egress())
