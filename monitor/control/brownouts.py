"""A brownout of a rollover: its plan from where its callers stand now, its limits, and what it has done so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from monitor.control.judge import Judge, Sight
from monitor.control.memos import BROWNOUT_MEMO
from monitor.control.steps import Action, Stepped, step
from monitor.core.brownout import Measured, Window, measure, plan, was_cleared
from monitor.core.callers import FOREVER_MS
from monitor.core.callers.tripwire import Tripped, tripped
from monitor.core.decision import CallerName, Json
from monitor.core.instants import rfc3339
from monitor.core.registry import Registry, Rollover
from monitor.errors import Conflict
from monitor.ports import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a window must end: above so many refused callers (`None`: as many as held it), and by a time."""

    accept: int | None = None
    until_ms: int | None = None

    @classmethod
    def of(cls, memo: Mapping[str, Json] | None, since_ms: int) -> Self:
        """Return those that were set when the window of that start began; without any, the defaults."""
        if memo is None or memo.get("since_ms") != since_ms:
            return cls()
        accept, until_ms = memo.get("accept"), memo.get("until_ms")
        return cls(
            accept=accept if isinstance(accept, int) else None,
            until_ms=until_ms if isinstance(until_ms, int) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a window has done by now. `accept` is the limit in force, `holding` who held the gate when it began."""

    since_ms: int
    found: Measured
    came: tuple[Tripped, ...]
    holding: int
    accept: int
    until_ms: int | None

    def as_json(self) -> dict[str, Json]:
        """Return it as HTTP and the command line show it."""
        return {
            "since": rfc3339(self.since_ms),
            "until": None if self.until_ms is None else rfc3339(self.until_ms),
            "holding": self.holding,
            "refused": [_named(name) for name in self.found.hit],
            "unexpected": [_named(name) for name in self.found.unplanned],
            "still_accepted": [_named(each.caller) for each in self.came if each.accepted_ms is not None],
            "accept": self.accept,
            "abort": self.found.abort,
        }


def begin_brownout(
    snapshot: Snapshot,
    judge: Judge,
    rollover: str,
    *,
    by: str,
    reason: str | None,
    now_ms: int,
    limits: Limits | None = None,
) -> Stepped:
    """Note that a window has begun, and its limits: the watch loop measures it by them. Raises as every step does."""
    done = step(snapshot, judge, rollover, Action.BROWNOUT, by=by, reason=reason, now_ms=now_ms)
    if limits is not None and limits != Limits():
        set_by: dict[str, Json] = {"accept": limits.accept, "until_ms": limits.until_ms, "since_ms": now_ms}
        snapshot.put_memo(BROWNOUT_MEMO + rollover, set_by, now_ms=now_ms)
        snapshot.audit("brownout_limits", rollover=rollover, body={**set_by, "by": by}, at_ms=now_ms)
    return done


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

    `accept` is how many refused callers are accepted (default: as given when it began, else as many as held the gate
    then). Raises `NotFound`; `Conflict` where no window is under way and none is named.
    """
    state = snapshot.state(rollover, now_ms)
    if since_ms is None and state.state != "brownout":
        raise Conflict(f"rollover {rollover!r} is in state {state.state}: no brownout is under way; name its start")
    begin_ms = state.since_ms if since_ms is None else since_ms
    limits = Limits.of(snapshot.memo(BROWNOUT_MEMO + rollover), begin_ms)
    if accept is not None:
        limits = Limits(accept=accept, until_ms=limits.until_ms)
    sight = judge.decide_all(snapshot, [rollover], now_ms=now_ms, with_standings=True)
    return {"rollover": rollover, **progress_of(sight, rollover, since_ms=begin_ms, limits=limits).as_json()}


def progress_of(sight: Sight, rollover: str, *, since_ms: int, limits: Limits) -> Progress:
    """Return what a window that began then has done, from one reading of everything (with standings)."""
    standings = sight.standings.get(rollover, ())
    holding = tuple(each.name for each in standings if not each.cleared and not was_cleared(each, since_ms))
    came = tripped(
        sight.evidence[rollover].callers,
        old_credentials=_old_credentials(sight.registry, sight.registry.rollover_by_id[rollover]),
        since_ms=since_ms,
    )
    until_ms = FOREVER_MS if limits.until_ms is None else limits.until_ms
    window = Window(from_ms=since_ms, until_ms=until_ms, coverage=0.0, hit=holding)
    most = len(holding) if limits.accept is None else limits.accept
    return Progress(
        since_ms=since_ms,
        found=measure(window, came, standings, abort_above=most, now_ms=sight.now_ms),
        came=came,
        holding=len(holding),
        accept=most,
        until_ms=limits.until_ms,
    )


def _old_credentials(registry: Registry, rollover: Rollover) -> frozenset[str]:
    key = registry.key_by_name.get(rollover.key)
    old = None if key is None else key.version(rollover.from_version)
    return frozenset(() if old is None else old.credentials)


def _named(name: CallerName) -> Json:
    return {"client": name.client, "source": name.source}
