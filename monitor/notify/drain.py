"""The numbers of the small drain chart: requests on the old and the new version, day by day."""

from __future__ import annotations

from collections import defaultdict

from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, rfc3339
from monitor.core.registry import Rollover
from monitor.ports import ReadStore

_LEAD_IN_DAYS = 2
_MOST_DAYS = 28


def drain_by_day(store: ReadStore, rollover: Rollover, now_ms: int) -> list[dict[str, Json]]:
    """Return whole days (UTC) up to today, from two before the start on, four weeks at most; gaps are zeros."""
    today = now_ms // DAY_MS
    first = max(rollover.started_at_ms // DAY_MS - _LEAD_IN_DAYS, today - _MOST_DAYS + 1)
    requests: dict[tuple[int, int], int] = defaultdict(int)
    for point in store.usage_series(rollover.key, from_ms=first * DAY_MS, to_ms=(today + 1) * DAY_MS, step_ms=DAY_MS):
        requests[point.bucket_ms // DAY_MS, point.version] += point.requests
    return [
        {
            "day": rfc3339(day * DAY_MS)[:10],
            "old": requests[day, rollover.from_version],
            "new": requests[day, rollover.to_version],
        }
        for day in range(first, today + 1)
    ]
