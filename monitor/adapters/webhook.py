"""Everything that is not Slack: a signed generic webhook (CloudEvents 1.0), Alertmanager, PagerDuty Events v2."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from monitor.adapters.egress import Egress, check_url, post
from monitor.core.alerts import AlertKind
from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, parse_rfc3339, rfc3339
from monitor.core.untrusted import harmless
from monitor.notify.guides import BY_CAUSE, BY_KIND

SIGNATURE_HEADER = "X-Rollwatch-Signature"
TIMESTAMP_HEADER = "X-Rollwatch-Timestamp"
_TYPE_PREFIX = "dev.rollwatch.alert."
_SOURCE = "/rollwatch"
_OPEN_MS = 30 * DAY_MS
_MAX_SUMMARY = 1_024
_PAGERDUTY_SEVERITY = {"info": "info", "warning": "warning", "critical": "critical"}


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return `v1=` + hex HMAC-SHA-256(secret, timestamp + "." + body); the receiver refuses old timestamps.

    >>> signature("s", "0", b"{}")[:10]
    'v1=e79b1f6'
    """
    return "v1=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


class WebhookCourier:
    """Posts each alert as a CloudEvent in structured JSON mode (schema: `docs/reference/webhook.schema.json`)."""

    def __init__(self, *, url: str, secret: str | None, egress: Egress, now_ms: Callable[[], int]) -> None:
        """Raises `ConfigError` for an address that may not be used."""
        check_url(url, egress)
        self._url, self._secret, self._egress, self._now_ms = url, secret, egress, now_ms

    def deliver(
        self, body: Mapping[str, Json], *, key: str, places: Mapping[str, Mapping[str, Json]]
    ) -> Mapping[str, Json]:
        """See `monitor.notify.sender.Courier`."""
        del places
        sent = json.dumps(cloud_event(body, key), ensure_ascii=True).encode()
        timestamp = str(self._now_ms() // 1000)
        headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8", TIMESTAMP_HEADER: timestamp}
        if self._secret:
            headers[SIGNATURE_HEADER] = signature(self._secret, timestamp, sent)
        return {"receipt": str(post(self._url, sent, headers, self._egress))}


class AlertmanagerCourier:
    """Posts to `/api/v2/alerts`: one alert an episode; its end sets `endsAt`."""

    def __init__(self, *, url: str, egress: Egress, runbook_url: str | None = None) -> None:
        """`url` is Alertmanager's address, without the path. Raises `ConfigError`."""
        check_url(url, egress)
        self._url, self._egress, self._runbook_url = f"{url.rstrip('/')}/api/v2/alerts", egress, runbook_url

    def deliver(
        self, body: Mapping[str, Json], *, key: str, places: Mapping[str, Mapping[str, Json]]
    ) -> Mapping[str, Json]:
        """See `monitor.notify.sender.Courier`; where the beginning stood is kept, because the end must repeat it."""
        del key
        alert = _alert(body)
        known = places.get(str(body.get("handle")))
        kept = known.get("labels") if known else None
        labels = dict(kept) if isinstance(kept, Mapping) else _labels(alert)
        begun = known["startsAt"] if known else alert["at"]
        shown: dict[str, Any] = {
            "labels": labels,
            "annotations": {
                "summary": harmless(alert["text"], limit=_MAX_SUMMARY),
                "runbook_url": _runbook(alert, self._runbook_url),
            },
            "startsAt": begun,
            # Without an end Alertmanager takes an alert that is not repeated for over after five minutes.
            "endsAt": alert["at"] if alert["kind"] == "resolved" else rfc3339(parse_rfc3339(alert["at"]) + _OPEN_MS),
        }
        status = post(self._url, json.dumps([shown]).encode(), {"Content-Type": "application/json"}, self._egress)
        return {"receipt": str(status), "labels": labels, "startsAt": begun}


class PagerDutyCourier:
    """Posts Events API v2: `trigger` and `resolve` with the episode as deduplication key."""

    def __init__(self, *, url: str, routing_key: str, egress: Egress, runbook_url: str | None = None) -> None:
        """Raises `ConfigError` for an address that may not be used."""
        check_url(url, egress)
        self._url, self._routing_key, self._egress, self._runbook_url = url, routing_key, egress, runbook_url

    def deliver(
        self, body: Mapping[str, Json], *, key: str, places: Mapping[str, Mapping[str, Json]]
    ) -> Mapping[str, Json]:
        """See `monitor.notify.sender.Courier`."""
        del key, places
        alert = _alert(body)
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": "resolve" if alert["kind"] == "resolved" else "trigger",
            "dedup_key": hashlib.sha256(str(alert["episode"]).encode()).hexdigest(),
        }
        if event["event_action"] == "trigger":
            event["payload"] = {
                "summary": harmless(alert["text"], limit=_MAX_SUMMARY),
                "source": harmless(alert["gateway"] or alert["key"] or "rollwatch"),
                "severity": _PAGERDUTY_SEVERITY[alert["severity"]],
                "timestamp": alert["at"],
                "component": harmless(alert["key"]),
                "class": alert["cause"] or alert["kind"],
                "custom_details": {"rollover": alert["rollover"], "runbook": _runbook(alert, self._runbook_url)},
            }
        sent = json.dumps(event).encode()
        return {"receipt": str(post(self._url, sent, {"Content-Type": "application/json"}, self._egress))}


def cloud_event(body: Mapping[str, Json], key: str) -> dict[str, Any]:
    """Return the CloudEvent of a body. `id` is the dedup key: a receiver may drop what it has seen."""
    alert = _alert(body)
    return {
        "specversion": "1.0",
        "id": hashlib.sha256(key.encode()).hexdigest(),
        "source": _SOURCE,
        "type": f"{_TYPE_PREFIX}{alert['kind']}",
        "subject": harmless(alert["rollover"] or alert["key"] or alert["episode"]),
        "time": alert["at"],
        "datacontenttype": "application/json",
        "data": {"reason": body["why"], "alert": alert},
    }


def _alert(body: Mapping[str, Json]) -> dict[str, Any]:
    alert = body["alert"]
    if not isinstance(alert, Mapping):
        raise TypeError("a message without an alert")
    return dict(alert)


def _labels(alert: Mapping[str, Any]) -> dict[str, Json]:
    named = {
        name: alert[name] for name in ("kind", "cause", "rollover", "key", "gateway", "region", "severity", "episode")
    }
    return {"alertname": "Rollwatch", **{name: harmless(str(value)) for name, value in named.items() if value}}


def _runbook(alert: Mapping[str, Any], base: str | None) -> str:
    guide = BY_CAUSE.get(alert["cause"] or "") or BY_KIND[AlertKind(alert["kind"])]
    return f"{(base or 'docs/runbooks').rstrip('/')}/{guide.runbook}.md"
