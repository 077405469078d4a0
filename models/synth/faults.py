"""Failed rollovers: what goes wrong, where, for whom and for how long, with the true cause as its label."""

# ruff: noqa: PLR2004 - the dice are the simulator, and all its events share one call shape
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.synth.events import CODE, OK_CODE, Bools, Events, concat
from models.synth.traffic import KeyPlan
from models.synth.world import World

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
    """Return when a fault of this cause begins and which version it breaks."""
    overlap = plan.retired_at - plan.started_at
    if cause in {"early_revocation", "premature_expiry"} and rng.random() < (
        1.0 if cause == "early_revocation" else 0.75
    ):
        return plan.started_at + float(rng.uniform(0.02, 0.6)) * min(overlap, 2 * 86400.0), plan.old
    if rng.random() < 0.7:
        return plan.started_at, plan.new
    return plan.started_at + float(rng.exponential(6 * 3600.0)), plan.new


def inject(
    rng: np.random.Generator, world: World, plan: KeyPlan, events: Events, hidden: Bools
) -> tuple[Events, Fault | None]:
    """Break a rollover. Returns the events and the label, None where fewer than three requests came to fail.

    Args:
        rng: source of the dice.
        world: the fleet's constants.
        plan: the key; it must roll.
        events: its traffic.
        hidden: for each gateway, whether it gives one reason for every rejection.
    """
    cause = str(rng.choice(ROLLOVER_FAULTS, p=_WEIGHTS / _WEIGHTS.sum()))
    if cause == "stale_gateway" and len(hidden) == 1:
        cause = "propagation_delay"
    start, version = _start(rng, plan, cause)
    share = _share(rng, world)
    length = 3600.0 * float(np.clip(world.fault_hours * np.exp(rng.normal(0, 0.8)), 0.4, 48))
    hit = (events.version == version) & (events.reason == OK_CODE) & (events.at >= start)
    reason = str(rng.choice(_REASONS[cause]))
    storm = 0
    if cause in {"propagation_delay", "stale_gateway"}:
        hit &= _affected_gateways(rng, world, plan, cause)[events.gateway]
    elif cause == "scope_loss":
        used = np.bincount(events.route[hit], minlength=plan.routes + 3).astype(float)
        if used.sum() > 0:
            n_lost = max(1, int(np.sum(used > 0) * rng.uniform(0.2, 0.7)))
            lost = rng.choice(len(used), n_lost, replace=False, p=(used + 1e-9) / (used + 1e-9).sum())
            hit &= np.isin(events.route, lost)
    elif cause in {"wrong_secret", "retry_storm"}:
        hit &= events.caller == _caller_of(rng, events, hit)
        share = float(rng.uniform(0.5, 1.0)) if share < 0.5 else 1.0
        storm = int(rng.integers(5, 40)) if cause == "retry_storm" else 0
    elif cause == "wrong_environment":
        source = {c.index: c.source for c in plan.callers}
        lead = _caller_of(rng, events, hit)
        same = [c.index for c in plan.callers if c.source == source.get(lead)]
        hit &= np.isin(events.caller, same)
        share = max(share, float(rng.uniform(0.5, 1.0)))
    if not hit.any():
        return events, None
    first = float(events.at[np.argmax(hit)])
    hit &= events.at < first + length
    hit &= rng.random(len(events)) < share
    events.reason[hit] = CODE[reason]
    events = _after_failure(rng, world, plan, events, hit, storm=storm, first=first, length=length)
    failing = (events.version == version) & (events.reason == CODE[reason]) & (events.at >= first)
    failing &= (events.at <= first + length + 300.0) & np.isin(events.caller, np.unique(events.caller[failing]))
    at = events.at[failing]
    veil = failing & hidden[events.gateway] & (events.reason != CODE["rate_limited"])
    events.reason[veil] = CODE[world.hidden_reason]
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


def _caller_of(rng: np.random.Generator, events: Events, hit: Bools) -> int:
    """Choose a caller among those with requests that could fail, busy ones a little more often."""
    callers, counts = np.unique(events.caller[hit & (events.caller >= 0)], return_counts=True)
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
    """Add what callers do once they are refused: retry, storm, or go back to the old version for a while."""
    extra: list[Events] = []
    for caller in plan.callers:
        mine = np.flatnonzero(hit & (events.caller == caller.index))
        if len(mine) == 0:
            continue
        n = storm or caller.retries
        if n:
            again = events.take(np.repeat(mine[:400], n))
            delay = 2.0 if storm else caller.retry_delay
            again.at[:] = again.at + rng.exponential(delay * n, len(again)) + 0.2
            extra.append(again.take(again.at < first + length))
        elif len(mine) > 4 and rng.random() < world.fallback_share:
            back = np.zeros(len(events), dtype=bool)
            back[mine[int(rng.integers(2, 12)) :]] = True
            events.version[back & (events.version == plan.new)] = plan.old
            events.reason[back & (events.version == plan.old)] = OK_CODE
    return concat([events, *extra]) if extra else events
