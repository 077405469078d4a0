"""The demo's `keys.yaml`: the fleet's keys and gateways, and its rollovers, with a policy fit for a fast clock."""

from __future__ import annotations

from typing import Any

import yaml

from monitor.core.instants import DAY_MS, rfc3339
from monitor.demo.fleet import FLEET, GATEWAYS, DemoKey

POLICY = {
    "quiet_window": "3d",
    # One look a second is one every two simulated hours, or more on a busy machine; so much later may evidence be.
    "max_ingest_age": "18h",
    "max_silence": "18h",
    "max_clock_skew": "1h",
    "decision_ttl": "1d",
}
_DEADLINES = {"billing-api": 10, "search-api": 12, "payments-api": 14, "reports-api": 35}
_CREATED_BEFORE_DAYS = (400, 1)


def rollover_id(key: DemoKey) -> str:
    """Return the id of a key's rollover."""
    return f"{key.key.removesuffix('-api')}-v{key.old}-to-v{key.new}"


def keys_yaml(start_ms: int, *, with_rollovers: bool) -> str:
    """Return the file. Without rollovers it is the registry of the time before the story begins.

    Before a rollover is registered its key's history is kept by the hour, as it is for everyone.
    """
    document: dict[str, Any] = {
        "keys": [_key(key, start_ms) for key in FLEET],
        "gateways": [{"gateway": gateway, "region": region} for gateway, region in GATEWAYS],
    }
    if with_rollovers:
        document["rollovers"] = [
            {
                "id": rollover_id(key),
                "key": key.key,
                "from": key.old,
                "to": key.new,
                "started_at": rfc3339(start_ms + int(key.starts_on_day * DAY_MS)),
                "deadline": rfc3339(start_ms + _DEADLINES[key.key] * DAY_MS),
                "policy": dict(POLICY),
            }
            for key in FLEET
        ]
    return yaml.safe_dump(document, sort_keys=False)


def _key(key: DemoKey, start_ms: int) -> dict[str, Any]:
    return {
        "key": key.key,
        "owner": {"team": key.team, "slack": f"#{key.team}-keys"},
        "versions": [
            {
                "version": version,
                "credentials": [key.credential(version)],
                "created_at": rfc3339(start_ms - days * DAY_MS),
            }
            for version, days in zip((key.old, key.new), _CREATED_BEFORE_DAYS, strict=True)
        ],
    }
