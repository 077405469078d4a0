"""Failed rollovers: what goes wrong, where, for whom and for how long, with the true cause as its label."""

# ruff: noqa: PLR2004 - the dice are the simulator, and all its events share one call shape
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.synth.events import CODE, DAY_SECONDS, OK_CODE, Bools, Events, Ints, concat
from models.synth.traffic import KeyPlan, old_instead
from models.synth.world import ENVIRONMENTS, World

ROLLOVER_FAULTS = (
    "propagation_delay",
    "stale_gateway",
    "early_revocation",
    "premature_expiry",
    "scope_loss",
    "wrong_secret",
    "wrong_environment",
    "retry_storm",
    "rate_limited",
)
_WEIGHTS = np.array([1.4, 1.2, 1.0, 1.0, 1.1, 1.4, 1.0, 0.9, 0.4])

_REASONS: dict[str, tuple[str, ...]] = {
    "propagation_delay": ("unknown_credential", "not_yet_active", "unknown_credential"),
    "stale_gateway": ("unknown_credential", "not_yet_active", "wrong_secret", "unknown_credential"),
    "early_revocation": ("revoked", "revoked", "unknown_credential"),
    "premature_expiry": ("expired",),
    "scope_loss": ("forbidden",),
    "wrong_secret": ("wrong_secret",),
    "wrong_environment": ("unknown_credential",),
    "retry_storm": ("wrong_secret", "unknown_credential", "forbidden"),
    "rate_limited": ("rate_limited",),
}

_OF_ONE_CALLER = frozenset({"wrong_secret", "wrong_environment", "retry_storm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The label: which key version failed why, from its first to its last failing request (seconds from the start)."""

    key: str
    version: int
    cause: str
    first_at: float
    last_at: float
    third_at: float
    failures: int
    share: float


def _affected_gateways(rng: np.random.Generator, world: World, plan: KeyPlan, cause: str) -> Bools:
    """Return which gateways are broken: all, one node, several of a region, or a region or two."""
    per, n = world.gateways_per_region, world.regions * world.gateways_per_region
    broken: Bools = np.zeros(n, dtype=bool)
    used = np.sum([c.gateways * c.rate for c in plan.callers], axis=0)
    region = int(rng.choice(world.regions, p=used.reshape(world.regions, per).sum(axis=1) / used.sum()))
    if cause == "stale_gateway":
        broken[int(rng.choice(n, p=used / used.sum()))] = True
    elif n > 2 and rng.random() < 0.3:  # those that take their copies from the same place, wherever they stand
        broken[rng.choice(n, int(rng.integers(2, max(3, n * 2 // 3 + 1))), replace=False)] = True
    elif rng.random() < 0.7 or per <= 2:
        broken[region * per : (region + 1) * per] = True
        if world.regions > 2 and rng.random() < 0.25:
            other = (region + 1) % world.regions
            broken[other * per : (other + 1) * per] = True
    else:
        broken[region * per + rng.choice(per, per - 1, replace=False)] = True
    if cause == "propagation_delay" and broken.sum() == 1 and n > 1:  # one node alone would be the other cause
        broken[(int(np.argmax(broken)) + per) % n] = True
    return broken


def _share(rng: np.random.Generator, world: World) -> float:
    if rng.random() < world.weak_share:
        return float(rng.uniform(0.15, 0.4))
    return float(rng.uniform(0.6, 1.0))


def _start(rng: np.random.Generator, plan: KeyPlan, cause: str) -> tuple[float, int]:
    """Return when a fault of this cause begins and which version it breaks: at the start, soon after, or any time."""
    overlap = plan.retired_at - plan.started_at
    if cause in {"early_revocation", "premature_expiry"} and rng.random() < (
        1.0 if cause == "early_revocation" else 0.75
    ):
        last = max((c.switch_at for c in plan.callers if np.isfinite(c.switch_at)), default=plan.retired_at)
        open_for = max(0.1 * overlap, min(last, plan.retired_at) - plan.started_at)
        return _inside(plan, plan.started_at + float(rng.uniform(0.02, 0.95)) * open_for), plan.old
    dice = rng.random()
    if dice < 0.6:
        return _inside(plan, plan.started_at), plan.new
    if dice < 0.78:
        return _inside(plan, plan.started_at + float(rng.exponential(6 * 3600.0))), plan.new
    return _inside(plan, plan.started_at + float(rng.uniform(0.0, 1.2)) * overlap), plan.new


def _inside(plan: KeyPlan, at: float) -> float:
    """Return a time of the overlap that the history covers, after its first day."""
    first = 1.1 * DAY_SECONDS
    return at if at >= first else first + (first - at) % max(3600.0, plan.retired_at - first)


def inject(
    rng: np.random.Generator, world: World, plan: KeyPlan, events: Events, words: Ints
) -> tuple[Events, Fault | None]:
    """Break a rollover. Returns the events and the label, None where fewer than three requests came to fail.

    Args:
        rng: source of the dice.
        world: the fleet's constants.
        plan: the key; it must roll.
        events: its traffic.
        words: for each gateway, the reason that it gives for every rejection, -1 where it tells the true one.
    """
    cause = str(rng.choice(ROLLOVER_FAULTS, p=_WEIGHTS / _WEIGHTS.sum()))
    if cause == "stale_gateway" and len(words) == 1:
        cause = "propagation_delay"
    start, version = _start(rng, plan, cause)
    share = _share(rng, world)
    length = 3600.0 * float(np.clip(world.fault_hours * np.exp(rng.normal(0, 0.8)), 0.4, 48))
    hit = (events.version == version) & (events.reason == OK_CODE) & (events.at >= start)
    reason = str(rng.choice(_REASONS[cause]))
    storm = int(rng.integers(5, 40)) if cause == "retry_storm" else 0
    if cause in _OF_ONE_CALLER:
        share = max(share, float(rng.uniform(0.5, 1.0)))
    hit &= _reached(rng, world, plan, events, hit, cause)
    if not hit.any():
        return events, None
    first = float(events.at[np.argmax(hit)])
    spans = np.full(len(words), length)
    if cause == "propagation_delay" and rng.random() < world.uneven_share:
        spans *= rng.uniform(0.2, 1.0, len(words))
    hit &= events.at < first + spans[events.gateway]
    hit &= rng.random(len(events)) < share
    events.reason[hit] = CODE[reason]
    events = _after_failure(rng, world, plan, events, hit, storm=storm, first=first, length=length)
    failing = (events.version == version) & (events.reason == CODE[reason]) & (events.at >= first)
    failing &= (events.at <= first + length + 300.0) & np.isin(events.caller, np.unique(events.caller[failing]))
    at = events.at[failing]
    veil = failing & (words[events.gateway] >= 0) & (events.reason != CODE["rate_limited"])
    events.reason[veil] = words[events.gateway[veil]]
    if len(at) < 3:
        return events, None
    return events, Fault(
        key=plan.name,
        version=version,
        cause=cause,
        first_at=float(at[0]),
        third_at=float(at[2]),
        last_at=float(at[-1]),
        failures=len(at),
        share=share,
    )


def _reached(  # noqa: PLR0917 - the parts of one fault
    rng: np.random.Generator, world: World, plan: KeyPlan, events: Events, hit: Bools, cause: str
) -> Bools:
    """Return which requests a fault of this cause can reach, of those that could fail."""
    if cause in {"propagation_delay", "stale_gateway"}:
        return _affected_gateways(rng, world, plan, cause)[events.gateway]
    if cause == "scope_loss":
        used = np.bincount(events.route[hit], minlength=plan.routes + 3).astype(float)
        if used.sum() == 0:
            return hit
        n_lost = max(1, int(np.sum(used > 0) * rng.uniform(0.2, 0.7)))
        lost = rng.choice(len(used), n_lost, replace=False, p=(used + 1e-9) / (used + 1e-9).sum())
        return np.isin(events.route, lost)
    if cause not in _OF_ONE_CALLER:
        return hit
    lead = _caller_of(rng, events, hit, late=_moved_after(rng, plan, events, hit))
    where = {c.environment for c in plan.callers if c.index == lead}
    reached = _own(rng, plan, lead)
    if cause == "wrong_environment" and (world.dialect.sources == ENVIRONMENTS or rng.random() < 0.5):
        reached = [c.index for c in plan.callers if c.environment in where]
    return np.isin(events.caller, reached)


def _own(rng: np.random.Generator, plan: KeyPlan, index: int) -> list[int]:
    """Return the callers that share a caller's configuration: its pods, or all of its principal's."""
    lead = next((c for c in plan.callers if c.index == index), None)
    if lead is None:
        return []
    if rng.random() < 0.25:
        return [c.index for c in plan.callers if c.client == lead.client]
    return plan.group(lead)


def _moved_after(rng: np.random.Generator, plan: KeyPlan, events: Events, hit: Bools) -> list[int]:
    """Return the callers that move after a fault's start, for most faults of one caller: they come with the move."""
    if not hit.any() or rng.random() > 0.75:
        return []
    start = float(events.at[hit][0])
    return [c.index for c in plan.callers if start - 60.0 <= c.switch_at < np.inf]


def _caller_of(rng: np.random.Generator, events: Events, hit: Bools, *, late: list[int]) -> int:
    """Choose a caller among those with requests that could fail, busy ones a little more often, `late` ones first."""
    possible = hit & (events.caller >= 0)
    if late and (possible & np.isin(events.caller, late)).any():
        possible &= np.isin(events.caller, late)
    callers, counts = np.unique(events.caller[possible], return_counts=True)
    if len(callers) == 0:
        return -2
    weights = np.sqrt(counts)
    return int(rng.choice(callers, p=weights / weights.sum()))


def _after_failure(
    rng: np.random.Generator,
    world: World,
    plan: KeyPlan,
    events: Events,
    hit: Bools,
    *,
    storm: int,
    first: float,
    length: float,
) -> Events:
    """Add what callers do once they are refused: retry, storm, ask with the old version, or go back to it a while."""
    extra: list[Events] = []
    for caller in plan.callers:
        mine = np.flatnonzero(hit & (events.caller == caller.index))
        if len(mine) == 0:
            continue
        n = storm or caller.retries
        if caller.falls_back and not storm:
            extra.append(old_instead(rng, plan, events, mine))
        if n and not (caller.falls_back and rng.random() < 0.5):
            again = events.take(np.repeat(mine[:400], n))
            delay = 2.0 if storm else caller.retry_delay
            again.at[:] = again.at + rng.exponential(delay * n, len(again)) + 0.2
            extra.append(again.take(again.at < first + length))
        elif len(mine) > 4 and rng.random() < 0.5 * world.fallback_share:
            back = np.zeros(len(events), dtype=bool)
            back[mine[int(rng.integers(2, 12)) :]] = True
            events.version[back & (events.version == plan.new)] = plan.old
            events.reason[back & (events.version == plan.old)] = OK_CODE
    return concat([events, *extra]) if extra else events
