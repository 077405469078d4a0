"""The third simulator's traffic: when a key's callers ask, what they are told, and what they do then."""

# ruff: noqa: PLR2004, S311, PLR0917 - the dice are the simulator, and all its requests share one call shape
from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.synth.third_cast import DAY, HOUR, ROUTES, Caller, Cast, Fault, Key, Refusals

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday, midnight."""
Timed = tuple[float, dict[str, Any]]
"""Seconds from the start, and the canonical event."""

_ACCEPTED = frozenset({"ok", "rate_limited", "gateway_error"})
_HIDDEN_BY_ONE_WORD = frozenset({"unknown_credential", "wrong_secret", "not_yet_active", "revoked", "expired"})
_BUCKET = 600.0


class Traffic:
    """The requests of one key, each key with dice of its own: a key's events do not depend on the others'."""

    def __init__(self, cast: Cast, key: Key) -> None:
        """Take a key whose rollover, fault and trouble are planned."""
        self.cast, self.key = cast, key
        self.dice = random.Random(f"third:{cast.seed}:{int(cast.hard)}:{key.index}")
        self.arrays = np.random.default_rng([cast.seed, int(cast.hard), key.index])

    def events(self) -> Iterator[Timed]:
        """Yield (seconds, event), not in order, and note the fault's hits on the key."""
        for caller in self.key.callers:
            yield from self._of_caller(caller)
        yield from self._storm()
        for refusals in self.key.refusals:
            for at, event in self._refused(refusals):
                if 0 <= at < self.cast.end:
                    yield at, event

    def _of_caller(self, caller: Caller) -> Iterator[Timed]:
        key, dice, end = self.key, self.dice, self.cast.end
        new = key.version + 1
        times = self._arrivals(caller)
        gateways = self._drawn(caller.gateways, len(times))
        routes = self._drawn(caller.routes, len(times))
        pods = self.arrays.integers(0, caller.pods, len(times)).tolist()
        fails = caller.first_fails
        for arrival, gateway, route, pod in zip(times.tolist(), gateways, routes, pods, strict=True):
            at = arrival
            if not max(0.0, caller.joined) <= at < end:
                continue
            version = new if at >= caller.switch and at >= caller.pod_switch[pod] else key.version
            if caller.switch <= at < caller.torn_until:
                version = new if dice.random() < 0.5 else key.version
            if fails and version == new:
                fails -= 1
                yield at, self._event(at, version, gateway, route, caller.first_reason, caller.client, caller.source)
                at += dice.uniform(1, 40)
            reason = self._verdict(caller, at, version, gateway, route)
            if at < end:
                yield at, self._event(at, version, gateway, route, reason, caller.client, caller.source)
            if reason not in _ACCEPTED and caller.retry != "no":
                yield from self._retries(caller, at, version, route)

    def _retries(self, caller: Caller, at: float, version: int, route: int) -> Iterator[Timed]:
        key, dice = self.key, self.dice
        falls_back = caller.retry == "fallback"
        if falls_back and key.started <= at and version == key.version + 1:
            version = key.version
        for _ in range(1 if falls_back else dice.randint(1, 2)):
            at += dice.uniform(1, 45)
            gateway = caller.gateway(dice)
            hits = len(key.hits)
            reason = self._verdict(caller, at, version, gateway, route)
            if at >= self.cast.end:
                del key.hits[hits:]  # the request is never made
                return
            yield at, self._event(at, version, gateway, route, reason, caller.client, caller.source)
            if reason in _ACCEPTED:
                return

    def _drawn(self, cumulated: list[float], count: int) -> list[int]:
        drawn: list[int] = np.minimum(
            np.searchsorted(cumulated, self.arrays.random(count)), len(cumulated) - 1
        ).tolist()
        return drawn

    def _arrivals(self, caller: Caller) -> NDArray[np.float64]:
        """Return the times of a caller's requests: batch runs, or a stream that follows its day and week."""
        g, key, end = self.arrays, self.key, self.cast.end
        if caller.period:
            n = max(1, round(caller.rate * caller.period))
            width = min(0.2 * caller.period, 30 + 2.0 * n)
            runs = [
                start + g.normal(0, 20) + np.sort(g.random(max(1, g.poisson(n)))) * width
                for start in np.arange(caller.phase * caller.period, end, caller.period)
            ]
            return np.concatenate(runs or [np.empty(0)])
        edges = np.arange(0.0, end, _BUCKET)
        hour = (edges / HOUR + caller.hours_from_utc) % 24
        day = ((edges / HOUR + caller.hours_from_utc) // 24).astype(int) % 7
        shape = key.night + (1 - key.night) * np.clip(0.5 + 0.75 * np.cos((hour - 13.5) / 24 * 2 * np.pi), 0, 1)
        shape = shape * np.where(day >= 5, key.weekend, 1.0)
        mean = caller.rate * _BUCKET * shape / shape.mean()
        for begin, until, times in key.surges:
            mean = np.where((edges >= begin - _BUCKET / 2) & (edges < until), mean * times, mean)
        mean = mean * g.gamma(8.0, 1 / 8.0, len(mean))
        counts = g.poisson(mean / 3.0 if caller.bursty else mean)
        at = np.repeat(edges, counts) + g.random(counts.sum()) * _BUCKET
        if caller.bursty:
            sizes = g.geometric(1 / 3.0, len(at))
            at = np.repeat(at, sizes) + g.exponential(6.0, sizes.sum()) * (g.random(sizes.sum()) < 0.9)
        return np.sort(at)

    def _verdict(self, caller: Caller, at: float, version: int, gateway: int, route: int) -> str:
        """Return the true reason of one request, and note it where the fault is to blame."""
        key, dice = self.key, self.dice
        if version == key.version and at >= key.ended:
            return "revoked"
        fault = key.fault
        if fault is not None and self._meets(fault, caller, at, version, gateway, route):
            key.hits.append(at)
            return fault.reason
        for window in [*caller.windows, *self.cast.windows.get(gateway, [])]:
            if not window.begin <= at < window.end or window.route not in {None, route}:
                continue
            if dice.random() < window.share:
                return window.reason
        u = dice.random()
        if u < 0.002:
            for share, reason in zip(self.cast.noise, ("rate_limited", "malformed", "forbidden"), strict=True):
                if u < share:
                    return reason
                u -= share
        return "ok"

    def _meets(self, fault: Fault, caller: Caller, at: float, version: int, gateway: int, route: int) -> bool:
        if version != fault.version or not fault.begin <= at < fault.end:
            return False
        if fault.callers is not None and caller.index not in fault.callers:
            return False
        if fault.routes is not None and route not in fault.routes:
            return False
        if fault.heals is not None and at >= fault.heals.get(gateway, -1.0):
            return False
        return self.dice.random() < fault.share

    def _storm(self) -> Iterator[Timed]:
        """Yield the requests of a caller that asks again and again."""
        key, dice, fault = self.key, self.dice, self.key.fault
        if fault is None or not fault.gap:
            return
        caller = key.callers[next(iter(fault.callers or {0}))]
        at = max(fault.begin, caller.switch) + dice.expovariate(1 / fault.gap)
        while at < min(fault.end, self.cast.end):
            gateway, route = caller.place(dice)
            yield at, self._event(at, fault.version, gateway, route, fault.reason, caller.client, caller.source)
            key.hits.append(at)
            at += dice.expovariate(1 / fault.gap)

    def _refused(self, refusals: Refusals) -> Iterator[Timed]:
        """Yield the requests of benign trouble."""
        if refusals.kind == "zombie":
            yield from self._zombie(refusals)
            return
        key, dice, caller = self.key, self.dice, refusals.caller
        probed = dice.randrange(len(ROUTES))
        for _ in range(int(refusals.count)):
            at = refusals.begin + dice.random() * refusals.length
            gateway, route = caller.place(dice)
            version = key.version + 1 if at >= caller.switch else key.version
            client: str | None
            client, source = refusals.said or (caller.client, caller.source)
            if refusals.kind == "stuffing":
                gateway, route = dice.randrange(len(self.cast.gateways)), dice.randrange(len(ROUTES))
                client = None if dice.random() < 0.3 else f"anon-{key.index}-{dice.randint(1, refusals.names)}"
                source = "internet"
            elif refusals.kind == "probe":
                route = probed
            yield at, self._event(at, version, gateway, route, refusals.reason, client, source)

    def _zombie(self, refusals: Refusals) -> Iterator[Timed]:
        dice, caller, rate = self.dice, refusals.caller, refusals.count / DAY
        at = refusals.begin + dice.expovariate(rate)
        while at < refusals.begin + refusals.length:
            gateway, route = caller.place(dice)
            event = self._event(at, refusals.version, gateway, route, refusals.reason, caller.client, caller.source)
            yield at, event
            at += dice.expovariate(rate)

    def _event(
        self, at: float, version: int, gateway: int, route: int, reason: str, client: str | None, source: str
    ) -> dict[str, Any]:
        """Write a request down as its gateway would."""
        node = self.cast.gateways[gateway]
        accepted = reason in _ACCEPTED
        hidden = reason in _HIDDEN_BY_ONE_WORD or (node.one_word_for_routes and reason == "forbidden")
        event = {
            "ts": int(START.timestamp() * 1000) + int(at * 1000),
            "credential": f"{self.key.key}-c{version}",
            "gateway": node.name,
            "region": node.region,
            "route": ROUTES[route],
            "outcome": "success" if accepted else "failure",
            "reason": node.word if node.word is not None and hidden else reason,
        }
        if client is not None and (accepted or not node.hides_client):
            event["client"] = client
        return {**event, "source": source}
