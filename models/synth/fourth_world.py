"""The fourth, independent simulator of fleets, as a statistician draws them: one of four that the trees are grown on.

Keys are independent: each has its dice, its script of troubles (`fourth_troubles.py`) and its columns of requests,
which are drawn as arrays, refused by the script, retried by their callers, and only then written as events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.synth.fourth_fleet import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    Habits,
    Key,
    Script,
    Stray,
    Times,
    Trouble,
    arrivals,
    draw_habits,
    draw_key,
)
from models.synth.fourth_troubles import CAUSES, add_benign, add_fault

_REASONS = (
    "ok",
    "rate_limited",
    "gateway_error",
    "unknown_credential",
    "wrong_secret",
    "expired",
    "revoked",
    "not_yet_active",
    "forbidden",
    "malformed",
    "other",
)
_OK, _REFUSED, _REVOKED = 0, 3, _REASONS.index("revoked")
"""Reasons from `_REFUSED` on are failed authentications."""
_NOISE = np.array(
    [_REASONS.index(reason) for reason in ("malformed", "rate_limited", "forbidden", "unknown_credential", "other")]
)
_NOISE_SHARES = (0.45, 0.35, 0.08, 0.07, 0.05)
_LEAST_HITS = 3
_ROLLING = 0.8
_BLIPS = 0.25
"""Short troubles of one gateway per day."""

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class _Requests:
    """Requests as columns: callers, gateways and routes by their places. `verdicts` are places in `_REASONS`."""

    times: Times
    callers: Whole
    versions: Whole
    gateways: Whole
    routes: Whole
    verdicts: Whole
    blamed: Flags

    def at(self, rows: Whole | Flags) -> _Requests:
        """Return some of the rows."""
        return _Requests(**{name: getattr(self, name)[rows] for name in self.__slots__})

    @classmethod
    def joined(cls, parts: list[_Requests]) -> _Requests:
        """Return all rows of the parts, in the order of time."""
        whole = cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__})
        return whole.at(np.argsort(whole.times, kind="stable"))


@dataclass(slots=True, kw_only=True)
class Life:
    """One key: what is to fail with it, and when that refused requests (known once all its events are)."""

    script: Script
    cause: str | None
    seed: tuple[int, ...]
    hits: list[float] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Return its name."""
        return self.script.key.name

    @property
    def fault(self) -> Trouble | None:
        """Return what was to fail."""
        return self.script.fault


class World:
    """A fleet with its history, all of it decided by the seed; `hard` is a company that hides more and errs more."""

    def __init__(self, seed: int, *, keys: int, days: float, hard: bool, failing: float = 1 / 8) -> None:
        """Write the script of every key; no request is made before `events`."""
        dice = (seed, int(hard))
        rng = np.random.default_rng((*dice, 5))
        self.days = days
        self.start = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=seed % 7, hours=int(rng.integers(24)))
        self._habits = draw_habits(rng, hard=hard)
        rolls = rng.random(keys) < _ROLLING
        fails = np.flatnonzero(rolls & (rng.random(keys) < failing))
        rounds = [str(cause) for _ in range(keys // len(CAUSES) + 1) for cause in rng.permutation(CAUSES)]
        causes = dict(zip(fails.tolist(), rounds, strict=False))
        elsewhere = _blips(rng, self._habits, days * DAY)
        self.keys = [
            _life(self._habits, (*dice, at), causes.get(at), rolls=bool(rolls[at]), days=days, elsewhere=elsewhere)
            for at in range(keys)
        ]

    def events(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield (seconds from the start, canonical event), key after key."""
        for life in self.keys:
            requests = _lived(life, self.days * DAY)
            life.hits = [float(at) for at in requests.times[requests.blamed]]
            yield from _written(life, requests, int(self.start.timestamp() * 1000))

    def registry(self) -> dict[str, Any]:
        """Return the content of `keys.yaml`."""
        gateways = [
            {"gateway": node.name} | ({"region": self._habits.regions[node.region]} if self._habits.logs_region else {})
            for node in self._habits.gateways
        ]
        return {
            "keys": [{"key": life.key, "versions": list(self._versions(life))} for life in self.keys],
            "gateways": gateways,
            "rollovers": [row for life in self.keys for row in self._rollover(life)],
        }

    def labels(self) -> list[dict[str, Any]]:
        """Return the faults that refused three requests or more. Runs the events where nobody has asked for them."""
        if not any(life.hits for life in self.keys):
            for _ in self.events():
                pass
        return [
            {
                "key": life.key,
                "version": life.fault.version,
                "cause": life.cause,
                "first_at": self._time(life.hits[0]),
                "last_at": self._time(life.hits[-1]),
            }
            for life in self.keys
            if life.fault is not None and len(life.hits) >= _LEAST_HITS
        ]

    def _time(self, seconds: float) -> str:
        return (self.start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")

    def _versions(self, life: Life) -> Iterator[dict[str, Any]]:
        key, dice = life.script.key, np.random.default_rng((*life.seed, 3))
        rollover = key.rollover
        began = rollover.start if rollover is not None else 0.0
        born = {key.old - 1: began - 400 * DAY} if self._habits.registers_dead else {}
        born[key.old] = began - dice.uniform(60, 300) * DAY
        if rollover is not None:
            born[key.new] = began - dice.uniform(0.2, 40) * HOUR
        for version, at in born.items():
            row: dict[str, Any] = {"version": version, "credentials": [_credential(key, version)]}
            row["created_at"] = self._time(at)
            expires = life.script.expires.get(version, NEVER)
            if self._habits.registers_expiry and expires < NEVER:
                row["expires_at"] = self._time(expires)
            yield row

    def _rollover(self, life: Life) -> Iterator[dict[str, Any]]:
        key = life.script.key
        if key.rollover is None:
            return
        row = {"id": f"{key.name}-{key.new}", "key": key.name, "from": key.old, "to": key.new}
        row["started_at"] = self._time(key.rollover.start)
        if self._habits.registers_retirement and key.rollover.retired < self.days * DAY:
            row["retired_at"] = self._time(key.rollover.retired)
        yield row


def _blips(rng: np.random.Generator, habits: Habits, end: float) -> list[Trouble]:
    """Return short outages and self-healed blips of the key look-up: one node, all keys, all versions."""
    nodes, troubles = range(len(habits.gateways)), []
    for node in nodes:
        for at in rng.uniform(0, end, int(rng.poisson(_BLIPS * habits.trouble * end / DAY))):
            blip = Trouble(
                reason=str(rng.choice(["gateway_error", "unknown_credential", "other"], p=[0.5, 0.3, 0.2])),
                begins=tuple(float(at) if other == node else NEVER for other in nodes),
                ends=(float(at) + rng.uniform(0.5, 7) * MINUTE,) * len(nodes),
                share=rng.uniform(0.1, 0.8),
            )
            troubles.append(blip)
    return troubles


def _life(
    habits: Habits, seed: tuple[int, ...], cause: str | None, *, rolls: bool, days: float, elsewhere: list[Trouble]
) -> Life:
    """Write the script of one key."""
    rng = np.random.default_rng((*seed, 1))
    name = f"{rng.choice(['acct', 'pay', 'ship', 'data', 'auth', 'feed', 'shop'])}-{seed[-1]:03d}"
    key = draw_key(rng, habits, name, days=days, failing=cause is not None, rolls=rolls)
    script = Script(key=key, habits=habits, end=days * DAY, callers=list(key.callers))
    if cause is not None:
        add_fault(rng, script, cause)
    _set_expiries(rng, script)
    add_benign(rng, script, elsewhere)
    return Life(script=script, cause=cause, seed=seed)


def _set_expiries(rng: np.random.Generator, script: Script) -> None:
    """Give versions ordinary dates: the old one ends with its retirement or later, the new one in a year."""
    key = script.key
    retired = key.rollover.retired if key.rollover is not None else NEVER
    last = retired if retired < NEVER else script.end + 20 * DAY
    script.expires.setdefault(key.old - 1, -rng.uniform(1, 60) * DAY)
    script.expires.setdefault(key.old, last + float(rng.choice([0.0, rng.uniform(1, 60)])) * DAY)
    script.expires.setdefault(key.new, script.end + 300 * DAY)


def _credential(key: Key, version: int) -> str:
    return f"{key.name}.v{version}"


def _lived(life: Life, end: float) -> _Requests:
    """Return all requests of one key within the history, with their verdicts."""
    rng, script = np.random.default_rng((*life.seed, 2)), life.script
    usual = _joined_usual(rng, script, end)
    judged = [_judged(rng, script, usual)]
    judged += [_extra(rng, script, stray, end) for stray in script.strays]
    again = judged[0]  # strays do not retry: they are repetitions
    for attempt in range(3):
        again = _judged(rng, script, _retried(rng, script, again, attempt), retry=True)
        judged.append(again)
    whole = _Requests.joined(judged)
    return whole.at(whole.times < end)


def _joined_usual(rng: np.random.Generator, script: Script, end: float) -> _Requests:
    """Return the planned requests of all callers, each with the version that its caller then presents."""
    parts = []
    for at, caller in enumerate(script.callers):
        if caller.per_day:
            times = arrivals(rng, caller, script.habits, end)
            moved = times >= caller.switch + rng.random(len(times)) * caller.ramp
            moved &= ~((times >= caller.back[0]) & (times < caller.back[1]))
            parts.append(_placed(rng, script, at, times, script.key.old + moved.astype(np.int64)))
    return _Requests.joined(parts)


def _placed(rng: np.random.Generator, script: Script, at: int, times: Times, versions: Whole) -> _Requests:
    """Return requests of one caller with their gateways and routes."""
    caller, number = script.callers[at], len(times)
    return _Requests(
        times=times,
        callers=np.full(number, at),
        versions=versions,
        gateways=rng.choice(len(caller.gateways), size=number, p=caller.gateways),
        routes=rng.choice(len(caller.routes), size=number, p=caller.routes),
        verdicts=np.zeros(number, np.int64),
        blamed=np.zeros(number, np.bool_),
    )


def _extra(rng: np.random.Generator, script: Script, stray: Stray, end: float) -> _Requests:
    """Return the requests of a stray."""
    least = min(stray.most, int((min(stray.ends, end) - stray.begins) / stray.gap * 1.5) + 5)
    times = stray.begins + np.cumsum(rng.exponential(stray.gap, max(least, 1))) - stray.gap * rng.random()
    times = times[(times < stray.ends) & (times >= stray.begins) & (times >= 0)]
    rows = _placed(rng, script, stray.caller, times, np.full(len(times), stray.version))
    rows.routes[:] = stray.route
    if stray.reason is None:
        return _judged(rng, script, rows)
    rows.verdicts[:] = _REASONS.index(stray.reason)
    rows.blamed[:] = stray.blamed
    return rows


def _judged(rng: np.random.Generator, script: Script, rows: _Requests, *, retry: bool = False) -> _Requests:
    """Give each request its verdict, in place: dead versions, then the fault, then other troubles, then noise."""
    key, number = script.key, len(rows.times)
    retired = key.rollover.retired if key.rollover is not None else NEVER
    rows.verdicts[(rows.versions < key.old) | ((rows.versions == key.old) & (rows.times >= retired))] = _REVOKED
    for trouble in script.troubles:
        if number and not (retry and trouble.first):
            met = np.flatnonzero(_fits(trouble, rows) & (rng.random(number) < trouble.share))[: trouble.first]
            rows.verdicts[met] = _REASONS.index(trouble.reason)
            rows.blamed[met] = trouble is script.fault
    noise = np.array([caller.noise for caller in script.callers])[rows.callers]
    odd = (rows.verdicts == _OK) & (rng.random(number) < noise)
    rows.verdicts[odd] = rng.choice(_NOISE, size=int(odd.sum()), p=_NOISE_SHARES)
    return rows


def _fits(trouble: Trouble, rows: _Requests) -> Flags:
    """Return which of the requests without a verdict a trouble concerns."""
    begins, ends = np.array(trouble.begins)[rows.gateways], np.array(trouble.ends)[rows.gateways]
    fits: Flags = (rows.verdicts == _OK) & (rows.times >= begins) & (rows.times < ends)
    if trouble.version:
        fits &= rows.versions == trouble.version
    if trouble.callers is not None:
        fits &= np.isin(rows.callers, list(trouble.callers))
    if trouble.routes is not None:
        fits &= np.isin(rows.routes, list(trouble.routes))
    return fits


def _retried(rng: np.random.Generator, script: Script, rows: _Requests, attempt: int) -> _Requests:
    """Return what refused callers do next: the same again after a pause, or a second try with the old version."""
    refused = rows.at((rows.verdicts >= _REFUSED) & (rng.random(len(rows.times)) < 0.8))  # noqa: PLR2004
    retries = np.array([caller.retries for caller in script.callers])[refused.callers]
    falls = np.array([caller.falls_back for caller in script.callers])[refused.callers]
    falls &= refused.versions == script.key.new
    again = refused.at(falls | (retries > attempt))
    number = len(again.times)
    again.versions -= falls[falls | (retries > attempt)]
    again.times += 0.2 + rng.exponential(8.0 * 3**attempt, number)
    again.verdicts, again.blamed = np.zeros(number, np.int64), np.zeros(number, np.bool_)
    return again


def _written(life: Life, rows: _Requests, epoch: int) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the events: what the gateway that met a request tells of it."""
    script, habits = life.script, life.script.habits
    names = {version: _credential(script.key, version) for version in range(script.key.old - 1, script.key.new + 1)}
    columns = (rows.times, rows.callers, rows.versions, rows.gateways, rows.routes, rows.verdicts)
    for at, who, version, place, route, verdict in zip(*(column.tolist() for column in columns), strict=True):
        caller, gateway, reason = script.callers[who], habits.gateways[place], _REASONS[verdict]
        refused = verdict >= _REFUSED
        if refused and gateway.word and (gateway.word == "other" or reason not in {"forbidden", "malformed"}):
            reason = gateway.word
        event = {"ts": epoch + int(at * 1000), "credential": names[version], "gateway": gateway.name}
        if caller.client and (not refused or gateway.names_client or reason == "forbidden"):
            event["client"] = caller.client
        if habits.logs_source and (not refused or gateway.names_source):
            event["source"] = caller.source
        if habits.logs_region:
            event["region"] = habits.regions[gateway.region]
        if habits.logs_route:
            event["route"] = script.key.routes[route]
        event["outcome"], event["reason"] = "failure" if refused else "success", reason
        yield at, event
