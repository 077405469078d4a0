"""The third simulator's failed rollovers: drawn until one is seen by enough requests."""

# ruff: noqa: PLR2004 - the dice are the simulator
from __future__ import annotations

import math

from models.synth.third_cast import CAUSES, DAY, HOUR, MIN, ROUTES, Caller, Cast, Fault, Key, shares


def break_rollover(cast: Cast, key: Key) -> None:
    """Give a key the first drawn fault that enough requests will meet, or of eighty the one that most will."""
    dice = cast.dice
    cause, weak = dice.choices(CAUSES, cast.cause_weights)[0], dice.random() < cast.weak
    best: tuple[float, Fault] | None = None
    for turn in range(80):
        if turn in (40, 60):  # this key cannot fail that way
            cause = dice.choices(CAUSES[:-1], cast.cause_weights[:-1])[0]
        fault = _draw(cast, key, cause, weak=weak)
        if fault is None:
            continue
        enough = max(5.0, (2.5 if cast.hard else 1.1) * (fault.end - fault.begin) / HOUR)
        met = _expected(cast, key, fault) / enough
        if best is None or met > best[0]:
            best = (met, fault)
        if met >= 1:
            break
    if best is not None:
        key.fault, key.cause = best[1], best[1].cause


def _draw(cast: Cast, key: Key, cause: str, *, weak: bool) -> Fault | None:
    """Draw a fault of a cause, None where it would be too short or too late to be seen."""
    dice = cast.dice
    share = dice.uniform(0.15, 0.35) if weak else dice.uniform(0.88, 1.0)
    length = min(12 * HOUR, max(0.5 * HOUR, math.exp(dice.gauss(math.log(2.7 * HOUR), 0.8))))
    caller = dice.choices(key.callers, [x.rate for x in key.callers])[0]
    begin = key.started if dice.random() < 0.4 else caller.switch
    if dice.random() < 0.2:
        begin += dice.uniform(0, 1.5) * DAY
    fault = Fault(
        cause=cause,
        version=key.version + 1,
        begin=begin,
        end=begin + length,
        share=share,
        reason="unknown_credential",
        weak=weak,
    )
    if cause in {"propagation_delay", "stale_gateway"}:
        _at_gateways(cast, fault, length)
    elif cause in {"early_revocation", "premature_expiry"}:
        _of_old_version(cast, key, fault, length)
    elif cause == "scope_loss":
        fault.reason = "forbidden"
        fault.routes = set(dice.sample(range(len(ROUTES)), dice.randint(1, 4)))
    else:
        _of_caller(cast, key, fault, caller, length)
    return fault if fault.end - fault.begin >= 0.4 * HOUR and fault.begin < cast.end - 2 * HOUR else None


def _at_gateways(cast: Cast, fault: Fault, length: float) -> None:
    """The new version is late at a region or at nodes of several, or one node never hears of it."""
    dice = cast.dice
    fault.reason = dice.choice(["unknown_credential", "unknown_credential", "not_yet_active"])
    if fault.cause == "stale_gateway":
        fault.heals = {dice.randrange(len(cast.gateways)): fault.end}
        return
    if dice.random() < 0.55 or len(cast.nodes) < 2:
        late = cast.nodes[dice.choice(list(cast.nodes))]
    else:
        late = []
        for region in dice.sample(list(cast.nodes), dice.randint(2, len(cast.nodes))):
            nodes = cast.nodes[region]
            late += dice.sample(nodes, dice.randint(1, max(1, len(nodes) - 1)))
        if len(late) == len(cast.gateways):
            late = late[1:]
    fault.heals = {g: fault.begin + length * dice.uniform(0.75, 1.0) for g in late}


def _of_old_version(cast: Cast, key: Key, fault: Fault, length: float) -> None:
    """The old version ends before its time."""
    dice = cast.dice
    fault.version, fault.reason = key.version, "revoked" if fault.cause == "early_revocation" else "expired"
    room = min(key.ended, cast.end) - key.started
    fault.begin = key.started + (0 if dice.random() < 0.25 else dice.uniform(0, min(1.8 * DAY, 0.85 * room)))
    fault.end = min(fault.begin + length, key.ended - 10 * MIN)
    if fault.cause == "premature_expiry" and key.expires is None and dice.random() < 0.5:
        key.expires = key.ended + dice.uniform(0, 10) * DAY


def _of_caller(cast: Cast, key: Key, fault: Fault, caller: Caller, length: float) -> None:
    """A caller, or all of its environment, took up something that is not the new version's secret."""
    dice = cast.dice
    if dice.random() < 0.85:
        fault.begin, fault.end = caller.switch, caller.switch + length
    fault.callers = {caller.index}
    if fault.cause == "wrong_secret":
        fault.reason = "wrong_secret"
    elif fault.cause == "wrong_environment":
        fault.callers = {x.index for x in key.callers if x.source == caller.source}
    else:
        fault.reason = dice.choice(["unknown_credential", "wrong_secret", "revoked", "not_yet_active"])
        fault.gap = dice.uniform(10, 60) if fault.weak else math.exp(dice.uniform(math.log(0.8), math.log(15)))
        if length > 0.5 * HOUR:
            fault.end = fault.begin + min(length, 2500 * fault.gap)
        fault.end = max(fault.end, fault.begin + 0.5 * HOUR)


def _expected(cast: Cast, key: Key, fault: Fault) -> float:
    """Return how many requests a fault is likely to refuse."""
    total = 0.0
    for caller in key.callers:
        if fault.callers is not None and caller.index not in fault.callers:
            continue
        begin, end = fault.begin, min(fault.end, caller.switch)
        if fault.version > key.version:
            begin, end = max(fault.begin, caller.switch), fault.end
        gateways, routes = shares(caller.gateways), shares(caller.routes)
        share = 1.0 if fault.heals is None else sum(float(gateways[g]) for g in fault.heals)
        share *= 1.0 if fault.routes is None else sum(float(routes[j]) for j in fault.routes)
        seen = max(0.0, min(end, cast.end) - begin)
        rate = caller.rate if not caller.period else caller.rate * float(seen > caller.period)
        total += seen * share * fault.share * rate
        if fault.gap and seen > 0:
            total += seen / fault.gap
    return total
