"""The third simulator's benign trouble: callers that break themselves, probes, strangers, and ailing gateways."""

# ruff: noqa: PLR2004, PLR0917 - the dice are the simulator
from __future__ import annotations

import math

from models.synth.third_cast import DAY, HOUR, MIN, ROUTES, Cast, Key, Refusals, Window, poisson


def trouble_key(cast: Cast, key: Key) -> None:
    """Add what goes wrong around one key and is no failed rollover. Rates are per 1,000 key-days."""
    _own_mistakes(cast, key)
    _strange_requests(cast, key)
    _newcomers(cast, key)
    _zombie(cast, key)


def trouble_fleet(cast: Cast, keys: list[Key]) -> None:
    """Add what goes wrong at gateways for all keys alike, and stuffing of many keys by one stranger."""
    dice = cast.dice
    for g in range(len(cast.gateways)):
        for _ in range(poisson(dice, cast.days / 9 * cast.trouble)):  # a blip of a node that heals by itself
            t = dice.random() * cast.end
            reasons = ["unknown_credential", "other", "not_yet_active"]
            _ail(cast, g, t, dice.uniform(0.5, 5) * MIN, dice.uniform(0.1, 0.8), dice.choice(reasons))
        for _ in range(poisson(dice, cast.days / 10 * cast.trouble)):
            t = dice.random() * cast.end
            _ail(cast, g, t, dice.uniform(2, 25) * MIN, dice.uniform(0.3, 1.0), "gateway_error")
    for nodes in cast.nodes.values():  # an upstream of a region
        for _ in range(poisson(dice, cast.days / 14 * cast.trouble)):
            t, route, length = dice.random() * cast.end, dice.randrange(len(ROUTES)), dice.uniform(3, 40) * MIN
            for g in nodes:
                _ail(cast, g, t, length, dice.uniform(0.4, 1.0), "gateway_error", route)
    for _ in range(poisson(dice, cast.days * len(keys) / 1000 * 1.5 * cast.trouble)):
        t, length = dice.random() * cast.end, dice.uniform(5, 90) * MIN
        for key in dice.sample(keys, min(len(keys), dice.choice([1, 1, 3, 6]))):
            key.refusals.append(
                Refusals(
                    kind="stuffing",
                    begin=t,
                    length=length,
                    count=dice.randint(20, 400),
                    caller=key.callers[0],
                    reason=dice.choice(["wrong_secret", "unknown_credential", "unknown_credential"]),
                    names=dice.randint(1, 12),
                )
            )


def _ail(
    cast: Cast, gateway: int, begin: float, length: float, share: float, reason: str, route: int | None = None
) -> None:
    window = Window(begin=begin, end=begin + length, share=share, reason=reason, route=route)
    cast.windows.setdefault(gateway, []).append(window)


def _times(cast: Cast, per_1000: float) -> list[float]:
    n = poisson(cast.dice, per_1000 * cast.days / 1000 * cast.trouble)
    return [cast.dice.random() * cast.end for _ in range(n)]


def _own_mistakes(cast: Cast, key: Key) -> None:
    """Bad deployments on whichever version, bursts over the quota, surges."""
    dice = cast.dice
    for t in _times(cast, 5):
        caller = dice.choice(key.callers)
        end = t + math.exp(dice.uniform(math.log(6 * MIN), math.log(4 * HOUR)))
        reasons = ["wrong_secret", "unknown_credential", "malformed", "missing_credential", "wrong_secret"]
        share = dice.uniform(0.3, 1.0)
        caller.windows.append(Window(begin=t, end=end, share=share, reason=dice.choice(reasons)))
    for t in _times(cast, 6):
        caller = dice.choice(key.callers)
        end = t + dice.uniform(2, 60) * MIN
        caller.windows.append(Window(begin=t, end=end, share=dice.uniform(0.2, 0.9), reason="rate_limited"))
        key.surges.append((t, t + dice.uniform(5, 40) * MIN, dice.uniform(2, 5)))
    for t in _times(cast, 9):
        key.surges.append((t, t + dice.uniform(10, 120) * MIN, dice.uniform(2, 7)))


def _strange_requests(cast: Cast, key: Key) -> None:
    """Probes of a route that the key may not use, and keys typed in by hand or in a staging place."""
    dice = cast.dice
    for t in _times(cast, 6):
        count = dice.choice([dice.randint(2, 8), dice.randint(5, 60)])
        key.refusals.append(
            Refusals(
                kind="probe",
                begin=t,
                length=dice.uniform(1, 90) * MIN,
                count=count,
                caller=dice.choice(key.callers),
                reason="forbidden",
            )
        )
    for t in _times(cast, 7):
        known = dice.random() < 0.5
        caller = dice.choice(key.callers)
        source = dice.choice([caller.source, "staging", "laptop", "ci"])
        key.refusals.append(
            Refusals(
                kind="typed",
                begin=t,
                length=dice.uniform(0.3, 60) * MIN,
                count=dice.choice([2, 3, 4, 6, 10, 25]),
                caller=caller,
                reason=dice.choice(["wrong_secret", "unknown_credential"]),
                said=(caller.client if known else dice.choice(cast.clients), source),
            )
        )


def _newcomers(cast: Cast, key: Key) -> None:
    """New callers, most of them with first failures."""
    dice, callers = cast.dice, key.callers
    for t in _times(cast, 6):
        known = {(x.client, x.source) for x in callers}
        rate = callers[0].rate * dice.uniform(0.1, 1.0)
        sources = [(x.source, cast.home(x)) for x in callers]
        made = cast.caller(len(callers), rate, sources, set(known), batch=False)
        if (made.client, made.source) in known:
            continue
        made.joined = t
        if key.started < math.inf:
            early = t - HOUR > key.started
            made.switch = t - HOUR if early else key.started + dice.uniform(0.02, 0.9) * (key.ended - key.started)
            made.pod_switch = [made.switch] * made.pods
        if dice.random() < 0.7:
            length = dice.uniform(2, 45) * MIN
            key.refusals.append(
                Refusals(
                    kind="onboard",
                    begin=t - length,
                    length=length,
                    count=dice.randint(2, 9),
                    caller=made,
                    reason=dice.choice(["wrong_secret", "unknown_credential", "forbidden", "malformed"]),
                )
            )
        callers.append(made)


def _zombie(cast: Cast, key: Key) -> None:
    """Let a caller ask for days with a version that is dead."""
    dice = cast.dice
    dead = key.version if key.ended < cast.end - HOUR else key.version - 1 if key.older else None
    if dead is not None and dice.random() < 0.035 * cast.trouble:
        key.refusals.append(
            Refusals(
                kind="zombie",
                begin=max(key.ended, 0.0) if dead == key.version else dice.uniform(0, 0.6) * cast.end,
                length=dice.uniform(1, 6) * DAY,
                count=math.exp(dice.uniform(math.log(30), math.log(1500))),
                caller=dice.choice(key.callers),
                reason=dice.choice(["revoked", "revoked", "expired", "unknown_credential"]),
                version=dead,
            )
        )
