"""A brownout's plan for a rollover, from what its callers' standings are now."""

from __future__ import annotations

from monitor.control.judge import Judge
from monitor.core.brownout import plan
from monitor.core.decision import CallerName, Json
from monitor.core.instants import rfc3339
from monitor.ports import Snapshot


def brownout_plan(snapshot: Snapshot, judge: Judge, rollover: str, *, now_ms: int) -> dict[str, Json]:
    """Return the plan as JSON. Raises `NotFound`."""
    sight = judge.decide_all(snapshot, [rollover], now_ms=now_ms, with_standings=True)
    policy = judge.policy_of(sight.registry.rollover_by_id[rollover])
    made = plan(sight.standings.get(rollover, ()), policy.brownout_steps_ms, from_ms=now_ms)
    return {
        "rollover": rollover,
        "stragglers": made.stragglers,
        "coverage": made.coverage,
        "windows": [
            {
                "from": rfc3339(each.from_ms),
                "until": rfc3339(each.until_ms),
                "coverage": each.coverage,
                "hit": [_named(name) for name in each.hit],
            }
            for each in made.windows
        ],
        "unreached": [_named(name) for name in made.unreached],
    }


def _named(name: CallerName) -> Json:
    return {"client": name.client, "source": name.source}
