"""The demo's `keys.yaml`: the fleet's keys and gateways, and its rollovers, with a policy fit for a fast clock."""

from __future__ import annotations

from typing import Any

import yaml

from monitor.core.instants import DAY_MS, rfc3339
from monitor.demo.fleet import FLEET, GATEWAYS, DemoKey

_LATE_SECONDS, _LATE_HOURS = 3.0, 18.0
_DEADLINES = {"billing-api": 10, "search-api": 12, "payments-api": 14, "reports-api": 35}
_CREATED_BEFORE_DAYS = (400, 1)


def rollover_id(key: DemoKey) -> str:
    """Return the id of a key's rollover."""
    return f"{key.key.removesuffix('-api')}-v{key.old}-to-v{key.new}"


def _late(hours_a_second: float) -> str:
    # A look a second is one every two simulated hours, or fewer on a busy machine; so much later may evidence be.
    return f"{max(_LATE_HOURS, _LATE_SECONDS * hours_a_second):.0f}h"


def _policy(late: str) -> dict[str, str]:
    return {
        "quiet_window": "3d",
        "max_ingest_age": late,
        "max_silence": late,
        # What is probed while a look is under way is ahead of it, by hours on a fast clock.
        "max_clock_skew": late,
        "decision_ttl": "1d",
    }


def keys_yaml(start_ms: int, *, with_rollovers: bool, hours_a_second: float) -> str:
    """Return the file. Without rollovers it is the registry of the time before the story begins.

    Before a rollover is registered its key's history is kept by the hour, as it is for everyone.
    """
    late = _late(hours_a_second)
    document: dict[str, Any] = {
        "keys": [_key(key, start_ms) for key in FLEET],
        "gateways": [{"gateway": gateway, "region": region, "max_silence": late} for gateway, region in GATEWAYS],
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
                "policy": _policy(late),
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
