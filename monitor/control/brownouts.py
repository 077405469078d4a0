"""A brownout of a rollover: its plan from what its callers' standings are now, and what a window has done so far."""

from __future__ import annotations

from monitor.control.judge import Judge
from monitor.core.brownout import Window, measure, plan, was_cleared
from monitor.core.callers.tripwire import tripped
from monitor.core.decision import CallerName, Json
from monitor.core.instants import rfc3339
from monitor.core.registry import Registry, Rollover
from monitor.errors import Conflict
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


def brownout_measured(
    snapshot: Snapshot,
    judge: Judge,
    rollover: str,
    *,
    now_ms: int,
    since_ms: int | None = None,
    accept: int | None = None,
) -> dict[str, Json]:
    """Return who was refused since the window's start (default: the last step to `brownout`), and whether to abort.

    `accept` is how many refused callers are accepted (default: as many as held the gate when the window began).
    Raises `NotFound`; `Conflict` where no window is under way and none is named.
    """
    state = snapshot.state(rollover, now_ms)
    if since_ms is None and state.state != "brownout":
        raise Conflict(f"rollover {rollover!r} is in state {state.state}: no brownout is under way; name its start")
    begin_ms = state.since_ms if since_ms is None else since_ms
    sight = judge.decide_all(snapshot, [rollover], now_ms=now_ms, with_standings=True)
    standings = sight.standings.get(rollover, ())
    holding = tuple(each.name for each in standings if not each.cleared and not was_cleared(each, begin_ms))
    came = tripped(
        sight.evidence[rollover].callers,
        old_credentials=_old_credentials(sight.registry, sight.registry.rollover_by_id[rollover]),
        since_ms=begin_ms,
    )
    window = Window(from_ms=begin_ms, until_ms=now_ms, coverage=0.0, hit=holding)
    most = len(holding) if accept is None else accept
    found = measure(window, came, standings, abort_above=most)
    return {
        "rollover": rollover,
        "since": rfc3339(begin_ms),
        "holding": len(holding),
        "refused": [_named(name) for name in found.hit],
        "unexpected": [_named(name) for name in found.unplanned],
        "still_accepted": [_named(each.caller) for each in came if each.accepted_ms is not None],
        "accept": most,
        "abort": found.abort,
    }


def _old_credentials(registry: Registry, rollover: Rollover) -> frozenset[str]:
    key = registry.key_by_name.get(rollover.key)
    old = None if key is None else key.version(rollover.from_version)
    return frozenset(() if old is None else old.credentials)


def _named(name: CallerName) -> Json:
    return {"client": name.client, "source": name.source}
