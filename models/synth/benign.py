"""Trouble that is nobody's failed rollover: each kind fails requests in the way a fault does, at a low rate."""

# ruff: noqa: PLR2004, PLR0917, ARG001 - the dice are the simulator, and all its events share one call shape
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.synth.events import CODE, DAY_SECONDS, OK_CODE, Bools, Events, Floats, block, concat
from models.synth.traffic import Caller, KeyPlan, old_instead, places
from models.synth.world import BENIGN_KINDS, World

_CLIENT_REASONS = ("wrong_secret", "unknown_credential", "forbidden", "malformed", "missing_credential")


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _pick(rng: np.random.Generator, plan: KeyPlan) -> Caller:
    return plan.callers[int(rng.integers(0, len(plan.callers)))]


def _version_at(plan: KeyPlan, caller: Caller, at: float) -> int:
    return plan.new if plan.rolls and at >= caller.switch_at else plan.old


def _burst(rng: np.random.Generator, plan: KeyPlan, caller: Caller, at: Floats, version: int, reason: str) -> Events:
    events = places(rng, caller, at, version)
    events.reason[:] = CODE[reason]
    return events


def zombie(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A forgotten process keeps retrying a version that is dead, for hours to days."""
    caller = _pick(rng, plan)
    version = plan.old if plan.rolls and at > plan.retired_at else plan.dead
    if version == plan.dead and plan.earlier_retired_at is not None:
        at = max(at, plan.earlier_retired_at)
    if at >= horizon:
        return events
    stop = min(horizon, at + _log_uniform(rng, 0.5, 96) * 3600)
    period = _log_uniform(rng, 20, 3600)
    times = np.cumsum(rng.exponential(period, 4 + int((stop - at) / period))) + at
    if rng.random() < 0.5:
        times = np.arange(at, stop, period)
    times = times[times < stop]
    reason = str(rng.choice(["revoked", "expired", "unknown_credential"], p=[0.5, 0.25, 0.25]))
    return concat([events, _burst(rng, plan, caller, times, version, reason)])


def probe(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A caller tries a route that it may not use, a few times or every so often."""
    caller = _pick(rng, plan)
    n = int(rng.integers(1, 12))
    spread = _log_uniform(rng, 5, 6 * 3600)
    times = np.sort(at + rng.uniform(0, spread, n))
    route = int(rng.integers(0, plan.routes + 3))  # above plan.routes: a route that nobody uses
    gateway = rng.choice(len(caller.gateways), n, p=caller.gateways).astype(np.int32)
    part = block(
        times[times < horizon],
        caller=caller.index,
        gateway=gateway[times < horizon],
        route=route,
        version=_version_at(plan, caller, at),
        reason=CODE["forbidden"],
    )
    return concat([events, part])


def typed_in(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A person types a key in wrongly and tries again, beside the caller's healthy traffic."""
    caller = _pick(rng, plan)
    n = int(rng.integers(1, 9))
    times = at + np.cumsum(rng.exponential(_log_uniform(rng, 3, 120), n))
    reason = str(rng.choice(["wrong_secret", "unknown_credential", "malformed"]))
    return concat([events, _burst(rng, plan, caller, times[times < horizon], _version_at(plan, caller, at), reason)])


def staging(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A test environment of a known client calls production with its own key, at a modest rate for a while."""
    caller = _pick(rng, plan)
    stop = min(horizon, at + _log_uniform(rng, 0.1, 12) * 3600)
    period = _log_uniform(rng, 30, 1800)
    times = at + np.cumsum(rng.exponential(period, 2 + int((stop - at) / period)))
    version = int(rng.choice([plan.old, _version_at(plan, caller, at)]))
    reason = str(rng.choice(["unknown_credential", "wrong_secret", "forbidden"]))
    return concat([events, _burst(rng, plan, caller, times[times < stop], version, reason)])


def bad_deployment(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A caller's own release breaks its requests, whatever the version, until it is rolled back."""
    caller = _pick(rng, plan)
    stop = min(horizon, at + _log_uniform(rng, 3, 300) * 60)
    share = float(rng.uniform(0.2, 1.0))
    reason = str(rng.choice(_CLIENT_REASONS))
    broken = [caller.index] if rng.random() < 0.3 else plan.group(caller)
    hit = _hits(rng, events, at, stop, share) & np.isin(events.caller, broken)
    events.reason[hit] = CODE[reason]
    return _retried(rng, plan, events, hit, caller, success=0.2, old=0.1)


def flapping(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """Pods flip between versions for some minutes; a few requests fail on the way."""
    if not plan.rolls:
        return events
    caller = _pick(rng, plan)
    start = caller.switch_at + float(rng.exponential(1800))
    if rng.random() < 0.5:  # a later release, or its going back
        start = max(at, start)
    stop = min(horizon, start + _log_uniform(rng, 2, 40) * 60)
    inside = (events.at >= start) & (events.at < stop) & (events.caller == caller.index)
    flipped = inside & (rng.random(len(events)) < 0.5)
    events.version[flipped] = plan.old
    failing = inside & (events.version == plan.new) & (rng.random(len(events)) < rng.uniform(0, 0.4))
    events.reason[failing] = CODE[str(rng.choice(["unknown_credential", "wrong_secret", "not_yet_active"]))]
    return _retried(rng, plan, events, failing, caller, success=0.9, old=1.0)


def surge(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """Traffic multiplies; part of it is refused for rate."""
    stop = min(horizon, at + _log_uniform(rng, 10, 240) * 60)
    inside = np.flatnonzero((events.at >= at) & (events.at < stop) & (events.reason == OK_CODE))
    if len(inside) == 0:
        return events
    extra = events.take(rng.choice(inside, min(3000, len(inside) * int(rng.integers(1, 8)))))
    extra.at[:] = np.clip(extra.at + rng.uniform(-60, 60, len(extra)), at, stop)
    limited = rng.random(len(extra)) < rng.uniform(0, 0.4)
    extra.reason[limited] = CODE["rate_limited"]
    return concat([events, extra])


def onboarding(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A caller starts to use the key; its first requests may be refused until it is set up."""
    caller = _pick(rng, plan)
    if caller.group == plan.callers[0].group or at > horizon * 0.8:
        return events
    events = events.take(~np.isin(events.caller, plan.group(caller)) | (events.at >= at))
    n = int(rng.integers(0, 9))
    times = at + np.cumsum(rng.exponential(_log_uniform(rng, 5, 900), n))
    reason = str(rng.choice(["wrong_secret", "unknown_credential", "forbidden", "malformed"]))
    return concat([events, _burst(rng, plan, caller, times[times < horizon], _version_at(plan, caller, at), reason)])


def quota_burst(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """One caller or all of them run into their quota, on whichever version."""
    stop = min(horizon, at + _log_uniform(rng, 3, 120) * 60)
    hit = _hits(rng, events, at, stop, float(rng.uniform(0.1, 0.8)))
    if rng.random() < 0.6:
        hit &= np.isin(events.caller, plan.group(_pick(rng, plan)))
    events.reason[hit] = CODE["rate_limited"]
    return events


def stuffing(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """Nobody's callers try credentials of this key."""
    n = int(_log_uniform(rng, 10, 600))
    times = at + rng.uniform(0, _log_uniform(rng, 60, 14400), n)
    times = times[times < horizon]
    caller = plan.callers[0]
    part = _burst(rng, plan, caller, times, plan.old, str(rng.choice(["wrong_secret", "unknown_credential"])))
    part.caller[:] = -1 - rng.integers(0, int(_log_uniform(rng, 1, 40)), len(part)).astype(np.int32)
    if plan.rolls and at > plan.started_at:
        part.version[rng.random(len(part)) < 0.5] = plan.new
    return concat([events, part])


def blip(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A gateway's look-up of keys fails for a few minutes and heals."""
    if plan.rolls and rng.random() < 0.3:
        at = plan.started_at + float(rng.exponential(900.0))
    stop = min(horizon, at + _log_uniform(rng, 0.5, 15) * 60)
    gateway = int(rng.integers(0, len(plan.callers[0].gateways)))
    hit = _hits(rng, events, at, stop, float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.7:
        hit &= events.gateway == gateway
    if plan.rolls and rng.random() < 0.5:
        hit &= events.version == plan.new
    events.reason[hit] = CODE[str(rng.choice(["unknown_credential", "gateway_error", "other", "not_yet_active"]))]
    return events


def batch_noise(rng: np.random.Generator, plan: KeyPlan, events: Events, at: float, horizon: float) -> Events:
    """A job of a known caller has a daily handful of bad requests at its own hour."""
    caller = _pick(rng, plan)
    times = np.concatenate(
        [
            np.sort(start + rng.exponential(90, int(rng.integers(1, 15))))
            for start in np.arange(at % DAY_SECONDS, horizon, DAY_SECONDS)
        ]
    )
    reason = str(rng.choice(["forbidden", "malformed", "rate_limited", "other", "unknown_credential"]))
    part = _burst(rng, plan, caller, times[times < horizon], plan.old, reason)
    if plan.rolls:
        part.version[part.at >= caller.switch_at] = plan.new
    return concat([events, part])


def first_retries(rng: np.random.Generator, world: World, plan: KeyPlan, events: Events) -> Events:
    """The first requests after a switch fail and succeed on the retry, for some callers."""
    for caller in plan.callers:
        if not np.isfinite(caller.switch_at) or rng.random() > world.first_retry_share:
            continue
        mine = np.flatnonzero(
            (events.caller == caller.index) & (events.version == plan.new) & (events.reason == OK_CODE)
        )
        if caller.switch_at < 0 or rng.random() < 0.25:  # another pod, another day
            mine = mine[int(rng.integers(0, max(1, len(mine)))) :]
        first = mine[: int(rng.integers(1, 5))]
        if len(first) == 0:
            continue
        failing = events.take(first)
        failing.at[:] = failing.at - rng.uniform(0.5, _log_uniform(rng, 2, 300), len(first))
        failing.reason[:] = CODE[str(rng.choice(["unknown_credential", "not_yet_active", "wrong_secret", "forbidden"]))]
        events = concat([events, failing])
        if caller.falls_back:
            events = concat([events, old_instead(rng, plan, failing, np.arange(len(failing)))])
    return events


def left_behind(rng: np.random.Generator, plan: KeyPlan, events: Events) -> Events:
    """Callers that never moved are refused once the old version is retired; most move then, some retry for days."""
    for caller in plan.callers:
        if np.isfinite(caller.switch_at):
            continue
        gives_up = plan.retired_at + _log_uniform(rng, 0.1, 72) * 3600
        late = (events.caller == caller.index) & (events.version == plan.old) & (events.at >= plan.retired_at)
        refused = late & (events.at < gives_up)
        events.version[late & ~refused] = plan.new
        events.reason[refused] = CODE[
            str(rng.choice(["revoked", "unknown_credential", "expired"], p=[0.6, 0.25, 0.15]))
        ]
    return events


def _hits(rng: np.random.Generator, events: Events, start: float, stop: float, share: float) -> Bools:
    inside: Bools = (events.at >= start) & (events.at < stop) & (events.reason == OK_CODE)
    return inside & (rng.random(len(events)) < share)


def _retried(
    rng: np.random.Generator,
    plan: KeyPlan,
    events: Events,
    hit: Bools,
    caller: Caller,
    *,
    success: float,
    old: float,
) -> Events:
    """Let a caller ask again: `success` is the share of retries that work, `old` that of going back to the old one."""
    refused = np.flatnonzero(hit)
    parts = [events]
    if caller.falls_back and plan.rolls and len(refused):
        parts.append(old_instead(rng, plan, events, refused[rng.random(len(refused)) < old]))
    if caller.retries and len(refused):
        again = events.take(np.repeat(refused, caller.retries))
        again.at[:] = again.at + rng.exponential(caller.retry_delay, len(again)) + 0.5
        again.reason[rng.random(len(again)) < success] = OK_CODE
        parts.append(again)
    return concat(parts) if len(parts) > 1 else events


Benign = Callable[[np.random.Generator, KeyPlan, Events, float, float], Events]
_KINDS: dict[str, Benign] = {
    "zombie": zombie,
    "probe": probe,
    "typed_in": typed_in,
    "staging": staging,
    "bad_deployment": bad_deployment,
    "flapping": flapping,
    "surge": surge,
    "onboarding": onboarding,
    "quota_burst": quota_burst,
    "stuffing": stuffing,
    "blip": blip,
    "batch_noise": batch_noise,
}


def add_benign(rng: np.random.Generator, world: World, plan: KeyPlan, events: Events, days: int) -> Events:
    """Add a key's benign events, as many of each kind as the world's rate says; half of them near its rollover."""
    horizon = float(days * DAY_SECONDS)
    for kind in BENIGN_KINDS:
        expected = world.benign_rates[kind] * days * (0.15 if kind == "batch_noise" else 1.0)
        for _ in range(int(rng.poisson(expected))):
            at = float(rng.uniform(0, horizon))
            if plan.rolls and rng.random() < 0.5:
                near = plan.started_at + _log_uniform(rng, 300.0, 8.0 * DAY_SECONDS)
                at = near if 0 <= near < horizon - 60.0 else at
            events = _KINDS[kind](rng, plan, events, at, horizon)
    if not plan.rolls:
        return events
    return left_behind(rng, plan, first_retries(rng, world, plan, events))
