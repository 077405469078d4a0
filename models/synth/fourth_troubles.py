"""What goes wrong in the fourth simulator: eight kinds of faults, and the benign troubles that must not be labelled.

Both are written in the same two words, so that no request is decided by a label: a `Trouble` refuses a share of the
requests that fit it, a `Stray` adds requests that nobody planned. A fault is a trouble that a rollover is to blame for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.synth.fourth_fleet import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    Script,
    Stray,
    Trouble,
    chance,
    clients_of,
    home,
    lognormal,
)

_LONGEST, _STORM = 4 * DAY, 6 * HOUR
_REFUSED = ("unknown_credential", "wrong_secret", "malformed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sketch:
    """A fault without its length: whom it hits where (None: everywhere), from when on, its usual length in hours."""

    version: int
    reason: str
    start: float
    hours: float
    callers: frozenset[int] | None = None
    gateways: Sequence[int] | None = None
    routes: frozenset[int] | None = None


def add_fault(rng: np.random.Generator, script: Script, cause: str) -> None:
    """Write a fault of this cause into the script, with what the callers do about it."""
    sketch = _SKETCHES[cause](rng, script)
    share = (
        rng.uniform(0.15, 0.35) if chance(rng, script.habits.weak) else float(rng.choice([1.0, rng.uniform(0.5, 1.0)]))
    )
    begins, ends = _span(rng, script, sketch, share, storm=cause == "retry_storm")
    fault = Trouble(
        reason=sketch.reason,
        version=sketch.version,
        callers=sketch.callers,
        routes=sketch.routes,
        share=share,
        begins=begins,
        ends=ends,
    )
    script.fault = fault
    rollover = script.key.rollover
    if rollover is not None and fault.version == script.key.new:  # nobody retires a version that others went back to
        script.key = replace(script.key, rollover=replace(rollover, retired=max(rollover.retired, max(ends) + DAY)))
    script.troubles.append(fault)
    if cause == "retry_storm":
        _storm(rng, script, fault)
    _react(rng, script, fault)


def _span(
    rng: np.random.Generator, script: Script, sketch: _Sketch, share: float, *, storm: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return from when to when it lasts at each gateway.

    Somebody mends it, but not before some have noticed it; nor before a second caller has met it, where it is nobody's
    own: the first one looks for its own mistake.
    """
    nodes, first, new = range(len(script.habits.gateways)), sketch.start, sketch.version == script.key.new
    where = nodes if sketch.gateways is None else sketch.gateways
    hit = [caller for at, caller in enumerate(script.callers) if sketch.callers is None or at in sketch.callers]
    if new:
        moves = sorted(caller.switch for caller in hit)
        first = max(first, moves[0], min(moves[1], moves[0] + DAY) if sketch.callers is None else moves[0])
    per_day = share * sum(
        caller.per_day
        * sum(caller.gateways[at] for at in where)
        * sum(part for at, part in enumerate(caller.routes) if sketch.routes is None or at in sketch.routes)
        for caller in hit
        if (caller.switch <= first) == new
    )
    noticed, longest = (0.0, _STORM) if storm else (rng.uniform(8, 45) / max(per_day, 0.5) * DAY, _LONGEST)
    length = min(max(lognormal(rng, sketch.hours, 1.0) * HOUR, noticed), longest) if chance(rng, 0.93) else longest
    late = [rng.uniform(0.4, 1.0) if sketch.gateways is not None and len(where) > 1 else 1.0 for _ in nodes]
    return (
        tuple(sketch.start if at in where else NEVER for at in nodes),
        tuple(first + length * late[at] if at in where else -NEVER for at in nodes),
    )


def _react(rng: np.random.Generator, script: Script, fault: Trouble) -> None:
    """Let some of the callers hit go back to the old version until it is mended, or leave it in a hurry."""
    for at, caller in enumerate(script.callers):
        hit = fault.callers is None or at in fault.callers
        if hit and chance(rng, script.habits.reverts):
            new = fault.version == script.key.new
            fled = max(min(fault.begins), caller.switch if new else 0.0) + lognormal(rng, 2.0, 0.8) * HOUR
            hurried = replace(caller, switch=min(caller.switch, fled), ramp=0.0)
            script.callers[at] = replace(caller, back=(fled, max(fault.ends))) if new else hurried


def _onset(rng: np.random.Generator, script: Script, *, late: float) -> float:
    """Return when a fault of the new version begins: with the rollover, or (in a share) up to days into it."""
    rollover = script.key.rollover
    if rollover is None:
        raise ValueError(f"{script.key.name} has no rollover that could fail")
    after = rng.uniform(0.3, 2.5) * DAY if chance(rng, late) else 0.0
    latest = min(rollover.retired, script.end) - 0.3 * DAY
    return max(min(rollover.start + after, latest), rng.uniform(0.0, 0.5) * DAY if rollover.start < 0 else 0.0)


def _cut(rng: np.random.Generator, script: Script) -> float:
    """Return a time in the window at which a good part of the traffic is still on the old version."""
    switches = sorted(caller.switch for caller in script.callers)
    still = switches[int(len(switches) * rng.uniform(0.2, 0.9))]
    start = _onset(rng, script, late=0.0)
    return rng.uniform(start + 10 * MINUTE, max(min(still, start + 3 * DAY, script.end - HOUR), start + HOUR))


def _one_client(rng: np.random.Generator, script: Script) -> frozenset[int]:
    """Return the callers of one client that moves in the history; of any, where none does."""
    moving = [caller for caller in script.callers if caller.switch < script.end - 0.2 * DAY] or script.callers
    weights = np.array([caller.per_day for caller in moving]) ** 0.5
    return script.of_client(moving[int(rng.choice(len(moving), p=weights / weights.sum()))].client)


def _propagation_delay(rng: np.random.Generator, script: Script) -> _Sketch:
    """The new version has not reached a whole region, or several of the gateways."""
    habits, start = script.habits, _onset(rng, script, late=0.2)
    nodes = list(habits.siblings(int(rng.integers(len(habits.regions)))))
    if (len(habits.gateways) > len(nodes) and chance(rng, 0.5)) or len(habits.regions) == 1:
        number = int(rng.integers(2, max(3, len(habits.gateways))))
        nodes = [int(at) for at in rng.permutation(len(habits.gateways))[:number]]
    reason = "unknown_credential" if len(nodes) < len(habits.gateways) and chance(rng, 0.75) else "not_yet_active"
    return _Sketch(version=script.key.new, reason=reason, start=start, hours=4.0, gateways=nodes)


def _stale_gateway(rng: np.random.Generator, script: Script) -> _Sketch:
    """One node missed the update, or came back with yesterday's configuration."""
    start, node = _onset(rng, script, late=0.35), int(rng.integers(len(script.habits.gateways)))
    return _Sketch(version=script.key.new, reason="unknown_credential", start=start, hours=8.0, gateways=[node])


def _early_revocation(rng: np.random.Generator, script: Script) -> _Sketch:
    """Somebody or some pipeline revokes or deletes the old version while it is in use."""
    reason = str(rng.choice(["revoked", "unknown_credential"], p=[0.75, 0.25]))
    return _Sketch(version=script.key.old, reason=reason, start=_cut(rng, script), hours=4.0)


def _premature_expiry(rng: np.random.Generator, script: Script) -> _Sketch:
    """The old version's date comes before its users have left it, or the new one got a lifetime of a day or so."""
    new = chance(rng, 0.25)
    start = _onset(rng, script, late=0.0) + rng.integers(1, 4) * DAY / 2 if new else _cut(rng, script)
    start = min(float(np.ceil(start / HOUR)) * HOUR, script.end - HOUR)
    version = script.key.new if new else script.key.old
    script.expires[version] = start
    return _Sketch(version=version, reason="expired", start=start, hours=5.0)


def _scope_loss(rng: np.random.Generator, script: Script) -> _Sketch:
    """The new version may not use some routes that the old one may."""
    number = len(script.key.routes)
    lost = frozenset(int(at) for at in rng.permutation(number)[: int(rng.integers(1, number))])
    start = _onset(rng, script, late=0.1)
    return _Sketch(version=script.key.new, reason="forbidden", start=start, hours=8.0, routes=lost)


def _wrong_secret(rng: np.random.Generator, script: Script) -> _Sketch:
    """One client was given a secret that is cut short or belongs to another version."""
    reason, start = str(rng.choice(["wrong_secret", "unknown_credential"], p=[0.7, 0.3])), _onset(rng, script, late=0.1)
    return _Sketch(version=script.key.new, reason=reason, start=start, hours=7.0, callers=_one_client(rng, script))


def _wrong_environment(rng: np.random.Generator, script: Script) -> _Sketch:
    """The callers of one environment, of two clients or more, hold a new version that was issued for another one."""
    place = script.habits.sources[int(rng.integers(1, len(script.habits.sources)))]
    known, most = clients_of(script.callers), max(caller.per_day for caller in script.callers)
    for client in known[: int(rng.integers(2, len(known)))]:
        mine = [script.callers[at] for at in sorted(script.of_client(client))]
        if all(caller.source != place for caller in mine):
            like = replace(mine[0], source=place, per_day=most * rng.uniform(0.1, 0.6))
            script.callers.append(replace(like, gateways=home(rng, script.habits)))
    callers = frozenset(at for at, caller in enumerate(script.callers) if caller.source == place)
    moves = min(caller.switch for caller in script.callers) + rng.exponential(5.0) * HOUR
    for at in callers:
        script.callers[at] = replace(script.callers[at], switch=moves + rng.exponential(1.0) * HOUR)
    odds = [0.5, 0.35, 0.15] if script.habits.logs_source else [0.15, 0.8, 0.05]  # else one could not tell it apart
    reason = str(rng.choice(["unknown_credential", "forbidden", "wrong_secret"], p=odds))
    start = _onset(rng, script, late=0.1)
    return _Sketch(version=script.key.new, reason=reason, start=start, hours=7.0, callers=callers)


def _retry_storm(rng: np.random.Generator, script: Script) -> _Sketch:
    """One client that is refused repeats its request without a pause."""
    old, callers = chance(rng, 0.15), _one_client(rng, script)
    reason = str(rng.choice(["unknown_credential", "wrong_secret", "forbidden"], p=[0.4, 0.4, 0.2]))
    version, start = (script.key.old, _cut(rng, script)) if old else (script.key.new, _onset(rng, script, late=0.2))
    return _Sketch(version=version, reason=reason, start=start, hours=1.0, callers=callers)


def _storm(rng: np.random.Generator, script: Script, fault: Trouble) -> None:
    """Add the storm: one process, many times faster than its client ever calls."""
    at = max(fault.callers or (), key=lambda place: script.callers[place].per_day)
    caller, new = script.callers[at], fault.version == script.key.new
    factor = rng.uniform(8, 25) if script.habits.hard else rng.uniform(15, 80)
    storm = Stray(
        caller=at,
        version=fault.version,
        route=script.some_route(rng),
        begins=max(min(fault.begins), caller.switch if new else 0.0) + rng.exponential(5) * MINUTE,
        ends=max(fault.ends),
        gap=float(max(min(DAY / caller.per_day / factor, rng.uniform(3, 20)), 0.2)),
        reason=fault.reason,
        blamed=True,
    )
    script.strays.append(storm)


_SKETCHES: Final[dict[str, Callable[[np.random.Generator, Script], _Sketch]]] = {
    "propagation_delay": _propagation_delay,
    "stale_gateway": _stale_gateway,
    "early_revocation": _early_revocation,
    "premature_expiry": _premature_expiry,
    "scope_loss": _scope_loss,
    "wrong_secret": _wrong_secret,
    "wrong_environment": _wrong_environment,
    "retry_storm": _retry_storm,
}
CAUSES: Final = tuple(_SKETCHES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """Requests that nobody planned, of a caller, of its client elsewhere (`sources`), or of a nameless stranger.

    `often` is per key-day and per rollover, the pause is drawn from `gap` (seconds; where `faster`, shares of the
    caller's own). Without reasons they are judged like others. A `dead` one presents a version long gone.
    """

    often: tuple[float, float]
    minutes: float
    gap: tuple[float, float]
    reasons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    nameless: bool = False
    faster: bool = False
    dead: bool = False
    most: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Break:
    """A share of the requests of one client (or of all) fails for about `minutes`, whatever version they present."""

    often: tuple[float, float]
    minutes: float
    share: tuple[float, float]
    of_client: float
    reasons: tuple[str, ...]


_VISITS: Final = {
    "probes": _Visit(often=(0.1, 0.25), minutes=40, gap=(10, 1200), reasons=("forbidden",)),
    "typed in": _Visit(often=(0.06, 0.25), minutes=3, gap=(5, 90), reasons=_REFUSED, sources=("laptop", "curl/8.5")),
    "staging": _Visit(often=(0.02, 0.1), minutes=120, gap=(300, 3600), reasons=_REFUSED[:2], sources=("qa", "dev")),
    "stuffing": _Visit(
        often=(0.02, 0), minutes=30, gap=(1, 20), reasons=_REFUSED, sources=("tor",), nameless=True, most=400
    ),
    "scans": _Visit(often=(0.04, 0), minutes=1500, gap=(1e3, 1e4), reasons=_REFUSED, sources=("bot",), nameless=True),
    "zombies": _Visit(
        often=(0.02, 0), minutes=5000, gap=(500, 14_000), sources=("legacy", "cron"), dead=True, most=200
    ),
    "surges": _Visit(often=(0.08, 0), minutes=60, gap=(0.15, 0.7), faster=True, most=2000),
}
_BREAKS: Final = {
    "broken": _Break(often=(0.03, 0.12), minutes=15, share=(0.2, 1), of_client=1, reasons=(*_REFUSED, "forbidden")),
    "quota": _Break(often=(0.15, 0.1), minutes=40, share=(0.05, 0.7), of_client=0.7, reasons=("rate_limited",)),
    "upstream": _Break(often=(0.06, 0), minutes=20, share=(0.1, 1.0), of_client=0.1, reasons=("gateway_error",)),
}
_JOIN, _PAUSE = (0.02, 0.02), (0.02, 0.0)
_FIRST_FAIL, _FLIP, _FORGET = 0.2, 0.1, 0.04
"""Shares of the switches that go wrong at first, or to and fro; of the callers with a process that nobody moved."""


def add_benign(rng: np.random.Generator, script: Script, elsewhere: Sequence[Trouble]) -> None:
    """Write the benign events of one key, and those of the gateways (`elsewhere`) that all keys share."""
    script.troubles.extend(elsewhere)
    if script.key.rollover is not None:
        _at_switches(rng, script, script.key.rollover.retired)
    moods = iter(script.habits.moods)
    for visit in _VISITS.values():
        if visit.dead and not script.habits.registers_dead:
            continue
        for at in _moments(rng, script, visit.often, next(moods)):
            _visit(rng, script, visit, at)
    for kind in _BREAKS.values():
        for at in _moments(rng, script, kind.often, next(moods)):
            _break(rng, script, kind, at)
    for at in _moments(rng, script, _JOIN, next(moods)):
        _join(rng, script, at)
    for at in _moments(rng, script, _PAUSE, next(moods)):
        place, away = script.somebody(rng), (at, at + lognormal(rng, 6, 0.8) * HOUR)
        script.callers[place] = replace(script.callers[place], away=away)


def _moments(rng: np.random.Generator, script: Script, often: tuple[float, float], mood: float) -> list[float]:
    """Return when such a thing happens: on any day, and once more in the first two days of a rollover.

    People then look at the key and touch their systems.
    """
    much = script.habits.trouble * mood
    moments = list(rng.uniform(0, script.end, int(rng.poisson(much * often[0] * script.end / DAY))))
    if script.key.rollover is not None:
        moments += list(script.key.rollover.start + rng.uniform(0, 2 * DAY, int(rng.poisson(much * often[1]))))
    return [float(at) for at in moments]


def _visit(rng: np.random.Generator, script: Script, visit: _Visit, at: float) -> None:
    place, key = script.somebody(rng), script.key
    caller = script.callers[place]
    version = key.new if caller.switch + caller.ramp <= at else key.old
    if visit.sources:
        place = script.stranger(rng, None if visit.nameless else caller.client, str(rng.choice(visit.sources)))
        tried = key.rollover is not None and at > key.rollover.start and not visit.nameless and chance(rng, 0.5)
        version = key.old - 1 if visit.dead else key.new if tried else key.old
    stray = Stray(
        caller=place,
        version=version,
        route=script.some_route(rng),
        begins=at,
        ends=at + lognormal(rng, visit.minutes, 1.0) * MINUTE,
        gap=rng.uniform(*visit.gap) * (DAY / caller.per_day if visit.faster else 1.0),
        reason=str(rng.choice(visit.reasons)) if visit.reasons else None,
        most=visit.most,
    )
    script.strays.append(stray)


def _break(rng: np.random.Generator, script: Script, kind: _Break, at: float) -> None:
    client = script.callers[script.somebody(rng)].client
    callers = script.of_client(client) if chance(rng, kind.of_client) else None
    if any(abs(script.callers[one].switch - at) < 2 * HOUR for one in callers or ()):
        return
    trouble = Trouble(
        reason=str(rng.choice(kind.reasons)),
        begins=script.always(at),
        ends=script.always(at + lognormal(rng, kind.minutes, 0.8) * MINUTE),
        callers=callers,
        routes=frozenset({script.some_route(rng)}) if callers is None and chance(rng, 0.6) else None,
        share=rng.uniform(*kind.share),
    )
    script.troubles.append(trouble)


def _join(rng: np.random.Generator, script: Script, at: float) -> None:
    """Let a client join; its first requests fail until somebody has read the manual."""
    like, client = script.callers[script.somebody(rng)], str(rng.choice(script.habits.clients))
    if client in clients_of(script.callers):
        return
    switch = min(like.switch, at) if script.key.rollover and at > script.key.rollover.start else like.switch
    script.callers.append(replace(like, client=client, gateways=home(rng, script.habits), joins=at, switch=switch))
    script.troubles.append(_first_fail(rng, script, len(script.callers) - 1, at))


def _first_fail(rng: np.random.Generator, script: Script, caller: int, at: float, *, version: int = 0) -> Trouble:
    """Return what refuses the first one to four requests of a caller, with a version or with any."""
    return Trouble(
        reason=str(rng.choice((*_REFUSED, "not_yet_active" if version else "forbidden"))),
        version=version,
        callers=frozenset({caller}),
        first=int(rng.integers(1, 5)),
        begins=script.always(at),
        ends=script.always(at + 2 * DAY),
    )


def _at_switches(rng: np.random.Generator, script: Script, retired: float) -> None:
    """Let callers stumble over their own switch, flip for minutes, and forget a process on the retired version."""
    for at, caller in enumerate(script.callers):
        trouble = _first_fail(rng, script, at, caller.switch, version=script.key.new)
        if chance(rng, _FIRST_FAIL):
            script.troubles.append(trouble)
        elif chance(rng, _FLIP):
            script.callers[at] = replace(caller, ramp=20 * MINUTE)
            ends = script.always(caller.switch + rng.uniform(3, 20) * MINUTE)
            script.troubles.append(replace(trouble, first=None, share=rng.uniform(0.2, 0.6), ends=ends))
        if retired < script.end and chance(rng, _FORGET * script.habits.trouble):
            gap, until = rng.uniform(10, 240) * MINUTE, retired + rng.exponential(3) * DAY
            script.strays.append(Stray(caller=at, version=script.key.old, begins=retired, ends=until, gap=gap))
