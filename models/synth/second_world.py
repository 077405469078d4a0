"""The second, independent simulator of fleets: one of the four that the trees are grown on.

Keys, gateways and callers are mechanisms that meet: gateways hold copies of credentials that come late, wrong or
without a scope; callers run processes that read their secrets, retry, fall back. Nothing is shared with `fleet.py`: no
constant, name or dialect.
"""

# ruff: noqa: PLR2004, S311, PLR0917 - the dice are the simulator, and all its requests share one call shape

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

MIN, HOUR, DAY = 60.0, 3600.0, 86400.0
START = datetime(2026, 3, 2, tzinfo=UTC)
CAUSES = (
    "propagation_delay",
    "stale_gateway",
    "early_revocation",
    "premature_expiry",
    "scope_loss",
    "wrong_secret",
    "wrong_environment",
    "retry_storm",
)


@dataclass(slots=True)
class Node:
    """A gateway: where it stands, and how it talks of a refusal."""

    name: str
    region: str
    one_word: str | None
    names_refused: str


@dataclass(slots=True)
class Process:
    """One running copy of a client: its rhythm, its habits, and when it reads which version."""

    client: str
    source: str
    nodes: list[Node]
    routes: list[str]
    per_day: float
    rhythm: str
    phase: float
    switch_at: float
    ramp: float
    stays: bool
    retries: int
    patience: float
    falls_back: bool
    env: str
    wrong_from: float = math.inf
    wrong_until: float = math.inf
    wrong_reason: str = ""
    storm: int = 0
    refused: int = 0
    back_until: float = 0.0


@dataclass(slots=True)
class Copy:
    """What a fault does to a node's view of a version in a span: which reason, for what share, on which routes."""

    version: int
    begin: float
    end: float
    reason: str
    share: float
    nodes: set[str] | None = None
    routes: set[str] | None = None
    envs: set[str] | None = None
    clients: set[str] | None = None
    storm: int = 0


@dataclass(slots=True)
class Rollover:
    """One key's life within the history."""

    key: str
    old: int
    start: float
    retire: float
    expires: float
    processes: list[Process]
    cause: str | None = None
    fault: Copy | None = None
    quirks: list[Copy] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)


class World:
    """One fleet, drawn from one seed."""

    def __init__(self, seed: int, *, keys: int, days: int, hard: bool, failing: float = 1 / 8) -> None:
        """Draw gateways, clients and keys; `failing` is the share of rollovers that fail."""
        self.rng = random.Random(f"second-{seed}-{hard}")
        rng = self.rng
        self.start = START
        self.days, self.hard, self.failing = days, hard, failing
        self.with_region = rng.random() < 0.7
        self.with_source = rng.choice(["ip", "env", "env", "none"] if hard else ["ip", "env", "env"])
        talk = rng.choice(["always", "node", "never"] if hard else ["always", "always", "node"])
        curt = rng.uniform(0.3, 0.9) if hard else rng.choice([0.0, 0.0, 0.5])
        word = rng.choice(["unknown_credential", "other"])
        self.nodes: list[Node] = []
        for r in range(rng.randint(2, 4)):
            for i in range(rng.randint(2, 4)):
                names = {"always": "always", "never": "found", "node": rng.choice(["always", "found"])}[talk]
                region = f"zone-{'nsew'[r]}"
                self.nodes.append(Node(f"gw{r}{i}", region, word if rng.random() < curt else None, names))
        self.pool = [f"{rng.choice('bcdfgl')}{rng.randint(100, 999)}-svc" for _ in range(keys)]
        self.fallbacks = rng.uniform(0.0, 0.4)
        self.busy = rng.uniform(150, 500)
        self.keys = [self._key(i) for i in range(keys)]

    def _key(self, i: int) -> Rollover:
        rng = self.rng
        old = rng.randint(1, 6)
        rolls = rng.random() < 0.75
        start = rng.uniform(2.0, self.days - 1.5) * DAY if rolls else math.inf
        overlap = rng.choice([1, 2, 3, 5]) * DAY
        expires = start + overlap + rng.uniform(0.0, 10.0) * DAY if rng.random() < 0.8 else math.inf
        volume = self.busy * math.exp(rng.gauss(0, 1.2))
        processes: list[Process] = []
        scopes = [f"/v{rng.randint(1, 3)}/{w}" for w in rng.sample(_WORDS, rng.randint(2, 6))]
        for client in dict.fromkeys(rng.choice(self.pool) for _ in range(1 + min(9, int(rng.expovariate(0.3))))):
            home = rng.choice(self.nodes).region
            share = volume * math.exp(rng.gauss(0, 1.0)) / 4
            lag = min(overlap * 0.8, rng.expovariate(1 / (5 * HOUR)))
            kind = rng.choices(["steady", "office", "cron", "batch", "weekly"], [5, 4, 3, 2, 0.5])[0]
            env = rng.choice(["blue", "green", "lab"] if rng.random() < 0.5 else ["blue"])
            for pod in range(rng.choice([1, 1, 2, 3])):
                local = [n for n in self.nodes if n.region == home or rng.random() < 0.15]
                processes.append(
                    Process(
                        client,
                        self._source(env, pod),
                        local,
                        rng.sample(scopes, rng.randint(1, len(scopes))),
                        max(1.0, share),
                        kind,
                        rng.random() * HOUR,
                        start + lag + pod * rng.expovariate(1 / (4 * MIN)),
                        rng.expovariate(1 / (6 * MIN)),
                        rng.random() < 0.02,
                        rng.choice([0, 0, 1, 2, 3]),
                        rng.choice([1.0, 5.0, 30.0]),
                        rng.random() < self.fallbacks,
                        env,
                    )
                )
        made = Rollover(f"k{i:03d}", old, start, start + overlap, expires, processes)
        if rolls and rng.random() < self.failing:
            self._break(made)
        self._quirks(made)
        return made

    def _source(self, env: str, pod: int) -> str:
        if self.with_source == "none":
            return ""
        return env if self.with_source == "env" else f"10.{self.rng.randint(0, 31)}.{pod}.{self.rng.randint(1, 254)}"

    def _break(self, key: Rollover) -> None:
        rng = self.rng
        cause = rng.choice(CAUSES)
        weak = rng.random() < (0.5 if self.hard else 0.15)
        share = rng.uniform(0.15, 0.35) if weak else rng.uniform(0.7, 1.0)
        begin = key.start if rng.random() < 0.6 else key.start + rng.uniform(0, 12) * HOUR
        end = begin + rng.uniform(1.5, 12) * HOUR
        new, fault = key.old + 1, None
        seen = sorted({n.name for p in key.processes for n in p.nodes})
        who = rng.choice(key.processes)
        refused = rng.choice(["unknown_credential", "not_yet_active"])
        if cause == "propagation_delay":
            at = {n.name for n in self.nodes if n.region == rng.choice(who.nodes).region} & set(seen)
            if len(at) < 2:
                at = set(rng.sample(seen, max(2, len(seen) // 2))) if len(seen) > 1 else set(seen)
            fault = Copy(new, begin, end, refused, share, nodes=at)
        elif cause == "stale_gateway":
            if len(seen) < 2:
                return
            fault = Copy(new, begin, end, refused, share, nodes={rng.choice(seen)})
        elif cause in {"early_revocation", "premature_expiry"}:
            begin = key.start + rng.uniform(0.05, 0.5) * (key.retire - key.start)
            reason = "revoked" if cause == "early_revocation" else "expired"
            end = min(key.retire, begin + rng.uniform(3, 24) * HOUR)
            fault = Copy(key.old, begin, end, reason, share)
            if cause == "premature_expiry" and rng.random() < 0.7:
                key.expires = begin
        elif cause == "scope_loss":
            routes = sorted({r for p in key.processes for r in p.routes})
            lost = set(rng.sample(routes, max(1, len(routes) // 2)))
            fault = Copy(new, begin, end, "forbidden", share, routes=lost)
        elif cause == "wrong_secret":
            fault = Copy(new, begin, end, "wrong_secret", max(share, 0.6), clients={who.client})
        elif cause == "wrong_environment":
            same = {p.client for p in key.processes if p.env == who.env} if self.with_source == "env" else {who.client}
            fault = Copy(new, begin, end, "unknown_credential", max(share, 0.6), envs={who.env}, clients=same)
        else:
            reason = rng.choice(["wrong_secret", "unknown_credential"])
            fault = Copy(new, begin, end, reason, 1.0, clients={who.client}, storm=rng.randint(8, 30))
        key.cause, key.fault = cause, fault

    def _quirks(self, key: Rollover) -> None:
        """Add what is nobody's failed rollover."""
        rng, span = self.rng, self.days * DAY
        scale = self.days * (1.6 if self.hard else 1.0)
        for _ in range(_poisson(rng, 0.02 * scale)):
            who, begin = rng.choice(key.processes), rng.uniform(0, span)
            new = begin > key.start
            version = key.old + 1 if new and rng.random() < 0.5 else key.old
            reason = rng.choice(["wrong_secret", "forbidden", "unknown_credential", "malformed"])
            end = begin + rng.expovariate(1 / (40 * MIN))
            key.quirks.append(Copy(version, begin, end, reason, rng.uniform(0.4, 1), clients={who.client}))
        if rng.random() < 0.006 * scale:
            begin = rng.uniform(0, span)
            key.quirks.append(Copy(-1, begin, begin + rng.uniform(5, 60) * MIN, "rate_limited", rng.uniform(0.2, 0.8)))
        if rng.random() < 0.006 * scale:
            begin, where = rng.uniform(0, span), {rng.choice(self.nodes).name}
            key.quirks.append(Copy(-1, begin, begin + rng.uniform(2, 25) * MIN, "gateway_error", 0.6, nodes=where))
        for process in key.processes:  # a secret that is read before it is everywhere: the retry succeeds
            if rng.random() < 0.25:
                begin = process.switch_at
                key.quirks.append(
                    Copy(key.old + 1, begin, begin + rng.expovariate(1 / 40), "unknown_credential", 0.7,
                         clients={process.client})
                )  # fmt: skip

    def events(self) -> Iterator[tuple[float, dict[str, object]]]:
        """Yield (time, canonical event), not in order."""
        for key in self.keys:
            for process in key.processes:
                for at in self._times(process):
                    yield from self._ask(key, process, at)
            yield from self._strangers(key)

    def _times(self, process: Process) -> Iterator[float]:
        rng, at, span = self.rng, process.phase, self.days * DAY
        gap = DAY / process.per_day
        while at < span:
            hour, weekday = at % DAY / HOUR, int(at // DAY) % 7
            if process.rhythm == "office":
                keep = 1.0 if weekday < 5 and 8 <= hour < 18 else 0.08
            elif process.rhythm == "steady":
                keep = 0.75 + 0.25 * math.sin((hour - 9) / 24 * 2 * math.pi)
            else:
                keep = 1.0
            if rng.random() < keep:
                yield at
            if process.rhythm in {"steady", "office"}:
                at += rng.expovariate(1 / gap)
            elif process.rhythm == "cron":
                at += max(5 * MIN, round(gap / (5 * MIN)) * 5 * MIN) + rng.uniform(-2, 2)
            else:
                for i in range(1, rng.randint(5, 25)):
                    yield min(span - 1, at + i * rng.uniform(0.5, 4))
                at += (7 * DAY if process.rhythm == "weekly" else rng.choice([DAY, DAY, 6 * HOUR])) + rng.gauss(0, 60)

    def _ask(self, key: Rollover, process: Process, at: float) -> Iterator[tuple[float, dict[str, object]]]:
        rng = self.rng
        version = key.old
        if not process.stays and at >= process.switch_at:
            done = process.ramp <= 0 or rng.random() < min(1.0, 0.3 + (at - process.switch_at) / (process.ramp * 3))
            version = key.old + done
        if version > key.old and at < process.back_until:
            version = key.old
        node, route = rng.choice(process.nodes), rng.choice(process.routes)
        for attempt in range(40):
            reason, storm = self._verdict(key, process, version, node, route, at)
            yield at, self._write(key, process, version, node, route, at, reason)
            if reason in {"ok", "rate_limited", "gateway_error"}:
                process.refused = 0
                return
            process.refused += 1
            if process.falls_back and version > key.old and process.refused > 4 and not storm:
                process.back_until = at + rng.uniform(0.5, 3) * HOUR
            if attempt >= (storm or process.retries):
                return
            at += rng.expovariate(1 / (1.5 if storm else process.patience)) + 0.1

    def _verdict(
        self, key: Rollover, process: Process, version: int, node: Node, route: str, at: float
    ) -> tuple[str, int]:
        rng = self.rng
        for copy in [*([key.fault] if key.fault else []), *key.quirks]:
            if not copy.begin <= at < copy.end or copy.version not in {-1, version}:
                continue
            if (copy.nodes and node.name not in copy.nodes) or (copy.routes and route not in copy.routes):
                continue
            if (copy.clients and process.client not in copy.clients) or (copy.envs and process.env not in copy.envs):
                continue
            if rng.random() < copy.share:
                if copy is key.fault:
                    key.hits.append(at)
                return copy.reason, copy.storm
        if version == key.old and at >= min(key.retire, key.expires):
            return ("revoked" if key.retire <= key.expires else "expired"), 0
        dice = rng.random()
        if dice < 0.0035:
            return ("rate_limited", "malformed", "gateway_error", "forbidden")[min(3, int(dice / 0.001))], 0
        return "ok", 0

    def _strangers(self, key: Rollover) -> Iterator[tuple[float, dict[str, object]]]:
        """Yield scans of old credentials by nobody."""
        rng = self.rng
        if rng.random() < 0.05:
            begin, node = rng.uniform(0, self.days) * DAY, rng.choice(self.nodes)
            for i in range(rng.randint(5, 60)):
                at = begin + i * rng.uniform(1, 20)
                event = self._base(key.key, key.old, node, "/", at)
                yield at, {**event, "outcome": "failure", "reason": node.one_word or "wrong_secret", "status": 401}

    def _base(self, key: str, version: int, node: Node, route: str, at: float) -> dict[str, object]:
        event: dict[str, object] = {"ts": int((START.timestamp() + at) * 1000), "credential": f"{key}-c{version}"}
        event["gateway"] = node.name
        if self.with_region:
            event["region"] = node.region
        event["route"] = route
        return event

    def _write(
        self, key: Rollover, process: Process, version: int, node: Node, route: str, at: float, reason: str
    ) -> dict[str, object]:
        event = self._base(key.key, version, node, route, at)
        served = reason in {"ok", "rate_limited", "gateway_error"}
        credential = reason not in {"malformed", "rate_limited"}
        if not served and credential and node.one_word:
            reason = node.one_word
        found = served or reason in {"wrong_secret", "expired", "revoked", "forbidden"}
        if found or node.names_refused == "always":
            event["client"] = process.client
        if process.source:
            event["source"] = process.source
        return {**event, "outcome": "success" if served else "failure", "reason": reason}

    def registry(self) -> dict[str, object]:
        """Return `keys.yaml` (JSON is YAML)."""
        keys, rollovers = [], []
        for key in self.keys:
            rolls = key.start < math.inf
            versions = [{"version": key.old, "credentials": [f"{key.key}-c{key.old}"]}]
            if key.expires < math.inf:
                versions[0]["expires_at"] = _iso(key.expires)
            if rolls:
                versions.append({"version": key.old + 1, "credentials": [f"{key.key}-c{key.old + 1}"]})
                row: dict[str, object] = {"id": f"{key.key}-r", "key": key.key, "from": key.old, "to": key.old + 1}
                row |= {"started_at": _iso(key.start), "deadline": _iso(key.retire)}
                if key.retire < self.days * DAY:
                    row["retired_at"] = _iso(key.retire)
                rollovers.append(row)
            keys.append({"key": key.key, "versions": versions})
        return {"keys": keys, "rollovers": rollovers}

    def labels(self) -> list[dict[str, object]]:
        """Return the true faults: those with three failing requests and more."""
        told: list[dict[str, object]] = []
        for key in self.keys:
            hits = sorted(h for h in key.hits if h < self.days * DAY)
            if key.fault and len(hits) >= 3:
                span = {"first_at": _iso(hits[0]), "last_at": _iso(hits[-1])}
                told.append({"key": key.key, "version": key.fault.version, "cause": key.cause, **span})
        return told


_WORDS = ("ledger", "quotes", "orders", "stock", "parcels", "seats", "claims", "media", "tax", "maps")


def _poisson(rng: random.Random, mean: float) -> int:
    n, left = 0, rng.expovariate(1.0)
    while left < mean:
        n, left = n + 1, left + rng.expovariate(1.0)
    return n


def _iso(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()
