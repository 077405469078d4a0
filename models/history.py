"""What the detector remembers of a key: decayed rates, recent minutes, and each caller's past. Incremental and bounded.

Times are whole minutes since the epoch. Nothing here looks ahead: a row changes only what later looks see.
"""

# ruff: noqa: PLR0917 - one call shape for all parts of a row, key first and now last
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from models.observations import OK, VERSION_REASONS, UsageRow

BIN_MINUTES = 5
HOUR_BINS = 12
SIX_HOUR_BINS = 72
DAY_BINS = 300
"""A day and an hour: the same hour of yesterday is still there."""
NAMELESS = "\0"
"""Stands in for the client of a failure that carries none: no client that a gateway logs is called so."""
_RUN_GAP_MINUTES = (45, 360)
_RUN_GAP_REQUESTS = 4.0
"""Failures of a caller that are further apart than this many of its usual gaps, within bounds, belong to two runs."""
_RECENT_MINUTES = 360
_MAX_RECENT = 3000
_HALF_LIFE_HOURS = 72.0
_LAG_HOURS = 2
_MAX_CALLERS = 2000
_MAX_CELLS = 600

CREDENTIAL, FORBIDDEN, LIMITED, MALFORMED, ERROR = range(5)
REASON_CLASS: dict[str, int] = {
    **dict.fromkeys(VERSION_REASONS, CREDENTIAL),
    "other": CREDENTIAL,
    "missing_credential": CREDENTIAL,
    "forbidden": FORBIDDEN,
    "rate_limited": LIMITED,
    "malformed": MALFORMED,
    "gateway_error": ERROR,
}
N_CLASSES = 5

CallerKey = tuple[str, str]


class Ring:
    """Counts in five-minute bins over a fixed span; old bins empty themselves as time moves on."""

    __slots__ = ("_bins", "_head")

    def __init__(self, bins: int) -> None:
        """Keep `bins` bins of five minutes."""
        self._bins = [0] * bins
        self._head = -1

    def add(self, minute: int, count: int) -> None:
        """Count at a minute; one older than the span is dropped."""
        at = minute // BIN_MINUTES
        size = len(self._bins)
        if at > self._head:
            for lost in range(max(self._head + 1, at - size + 1), at + 1):
                self._bins[lost % size] = 0
            self._head = at
        elif at <= self._head - size:
            return
        self._bins[at % size] += count

    def total(self, minute: int, bins: int) -> int:
        """Sum the `bins` newest bins as of a minute, the running one included."""
        now, size = minute // BIN_MINUTES, len(self._bins)
        first, last = max(now - bins + 1, self._head - size + 1), min(now, self._head)
        if last < first:
            return 0
        start, end = first % size, last % size + 1
        return sum(self._bins[start:end]) if start < end else sum(self._bins[start:]) + sum(self._bins[:end])


@dataclass(slots=True)
class FailureRun:
    """A caller's failures of one reason on one version: the running run, what came before it, and the very first."""

    started: int
    last: int
    first: int
    failures: int = 0
    runs_before: int = 0
    failures_before: int = 0


@dataclass(slots=True)
class CallerVersion:
    """A caller's past with one version. `ok_at` maps gateways to the last success there."""

    first_seen: int
    successes: int = 0
    first_ok: int = -1
    last_ok: int = -1
    last_failure: int = -1
    streak: int = 0
    run_started: int = -1
    ok_since_run: int = 0
    ok_at: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Rhythm:
    """When somebody asked, served or not: first, last, how often, and the longest pause between two minutes."""

    first: int
    last: int
    longest: int = 0
    requests: int = 0

    def hear(self, minute: int, count: int) -> None:
        """Take in requests of a minute; what comes late only counts."""
        pause = minute - self.last
        if pause > 0:
            self.last = minute
            self.longest = max(self.longest, pause)
        self.requests += count


@dataclass(slots=True)
class CallerPast:
    """A caller of a key: versions it used, ways it failed, routes that worked for it.

    A `nameless` one stands for all failures without a client from one source, where no known caller can be named.
    """

    first_seen: int
    rhythm: Rhythm
    requests: int = 0
    versions: dict[int, CallerVersion] = field(default_factory=dict)
    runs: dict[tuple[int, str], FailureRun] = field(default_factory=dict)
    nameless: bool = False
    routes: set[str] = field(default_factory=set)

    def run_gap(self, now: int) -> int:
        """Return how far apart two failures of this caller may be and still belong to one run, in minutes."""
        least, most = _RUN_GAP_MINUTES
        usual = _RUN_GAP_REQUESTS * (now - self.first_seen) / max(1, self.requests)
        return int(min(most, max(least, usual)))


@dataclass(frozen=True, slots=True)
class RecentFailure:
    """One aggregated failure of a known caller within the last six hours."""

    minute: int
    caller: CallerKey
    gateway: str
    region: str
    route: str | None
    reason: str
    count: int


@dataclass(slots=True)
class VersionPast:
    """One version's recent volume and failures.

    `looks` counts those of the running trouble; `news` says that another caller began to fail since the last.
    `joint` holds successes by caller and gateway in slabs of five minutes, newest last, as many as `_MAX_CELLS` allows.
    """

    first_seen: int
    ok: Ring = field(default_factory=lambda: Ring(SIX_HOUR_BINS))
    ok_total: int = 0
    ok_at: dict[str, Ring] = field(default_factory=dict)
    ok_on: dict[str, Ring] = field(default_factory=dict)
    ever_ok_at: dict[str, int] = field(default_factory=dict)
    failures: deque[RecentFailure] = field(default_factory=deque)
    joint: deque[tuple[int, dict[tuple[CallerKey, str], int]]] = field(default_factory=deque)
    joint_cells: int = 0
    looks: int = 0
    last_look: int = -1
    news: bool = False
    by_class: list[Ring] = field(default_factory=lambda: [Ring(SIX_HOUR_BINS) for _ in range(N_CLASSES)])
    first_failure: dict[int, int] = field(default_factory=dict)


class Rates:
    """Decayed failures by reason and requests, folded in two hours late; the record of an hour for each class."""

    __slots__ = ("_pending", "failures", "records", "requests")

    def __init__(self) -> None:
        """Start empty."""
        self.failures: dict[str, float] = {}
        self.requests = 0.0
        self.records = [0] * N_CLASSES
        self._pending: dict[int, tuple[dict[str, int], list[int]]] = {}

    def add(self, minute: int, reason: str, count: int) -> None:
        """Count into the hour of a minute; it joins the rates once it is two hours old."""
        hour = self._pending.get(minute // 60)
        if hour is None:
            hour = self._pending[minute // 60] = ({}, [0])
        hour[1][0] += count
        if reason != OK:
            hour[0][reason] = hour[0].get(reason, 0) + count

    def settle(self, minute: int, *, learn: bool) -> None:
        """Fold in the hours that are old enough; drop them instead where `learn` is False (flagged, or frozen)."""
        due = [h for h in self._pending if h <= minute // 60 - _LAG_HOURS]
        for hour in sorted(due):
            failures, requests = self._pending.pop(hour)
            if not learn:
                continue
            keep = 0.5 ** (1.0 / _HALF_LIFE_HOURS)
            self.requests = self.requests * keep + requests[0]
            for reason in self.failures:
                self.failures[reason] *= keep
            hourly = [0] * N_CLASSES
            for reason, count in failures.items():
                self.failures[reason] = self.failures.get(reason, 0.0) + count
                hourly[REASON_CLASS.get(reason, CREDENTIAL)] += count
            self.records = [max(a, b) for a, b in zip(self.records, hourly, strict=True)]


class KeyPast:
    """All that is remembered of one key."""

    __slots__ = ("_at_source", "callers", "clients", "ok", "proven", "rates", "strangers", "versions")

    def __init__(self) -> None:
        """Start empty."""
        self.versions: dict[int, VersionPast] = {}
        self.callers: dict[CallerKey, CallerPast] = {}
        self.proven: dict[CallerKey, CallerPast] = {}
        self.clients: dict[str, Rhythm] = {}
        self.rates = Rates()
        self.strangers = Ring(HOUR_BINS)
        self.ok = Ring(DAY_BINS)
        self._at_source: dict[str, CallerKey | None] = {}

    def add(self, row: UsageRow) -> bool:
        """Take in one row. Return whether it is a failure (or unserved request)."""
        minute = row.bucket // 60
        version = self.versions.get(row.version)
        if version is None:
            version = self.versions[row.version] = VersionPast(first_seen=minute)
        self.rates.add(minute, row.reason, row.requests)
        who, caller = self._caller(row, minute)
        past = caller.versions.get(row.version)
        if past is None:
            past = caller.versions[row.version] = CallerVersion(first_seen=minute)
        if row.reason == OK:
            self.ok.add(minute, row.requests)
            self.proven.setdefault(who, caller)
            if past.first_ok < 0 and row.source and self._at_source.setdefault(row.source, who) != who:
                self._at_source[row.source] = None
            self._succeed(version, caller, past, row, minute)
            self._join(version, who, row, minute)
            return False
        self._fail(version, caller, past, row, minute, who)
        return True

    def _caller(self, row: UsageRow, minute: int) -> tuple[CallerKey, CallerPast]:
        """Find or begin the caller of a row, and hear it."""
        who = (row.client or "", row.source or "")
        if row.reason != OK and (row.client is None or who not in self.callers):
            self.strangers.add(minute, row.requests)
        if row.client is None and row.reason != OK:
            who = self._named(row.source)
        caller = self.callers.get(who)
        if caller is None:
            if len(self.callers) >= _MAX_CALLERS:
                who = (NAMELESS, "")
            fresh = CallerPast(first_seen=minute, rhythm=Rhythm(minute, minute), nameless=who[0] == NAMELESS)
            caller = self.callers.setdefault(who, fresh)
        caller.requests += row.requests
        caller.rhythm.hear(minute, row.requests)
        client = self.clients.get(who[0])
        if client is None and who[0] and row.reason == OK and len(self.clients) < _MAX_CALLERS:
            client = self.clients[who[0]] = Rhythm(minute, minute)
        if client is not None:
            client.hear(minute, row.requests)
        return who, caller

    def _named(self, source: str | None) -> CallerKey:
        """Name the caller of a failure without a client: the only one known at its source, else nobody there."""
        known = self._at_source.get(source) if source else None
        return known or (NAMELESS, source or "")

    @staticmethod
    def _join(version: VersionPast, who: CallerKey, row: UsageRow, minute: int) -> None:
        joint, number = version.joint, minute // BIN_MINUTES
        if not joint or joint[-1][0] < number:
            joint.append((number, {}))
            while version.joint_cells > _MAX_CELLS or joint[0][0] <= number - SIX_HOUR_BINS:
                version.joint_cells -= len(joint.popleft()[1])
        late = 1
        while late < len(joint) and joint[-late][0] > number:
            late += 1
        slab, at = joint[-late][1], (who, row.gateway)
        if at in slab:
            slab[at] += row.requests
        else:
            slab[at] = row.requests
            version.joint_cells += 1

    @staticmethod
    def _succeed(version: VersionPast, caller: CallerPast, past: CallerVersion, row: UsageRow, minute: int) -> None:
        gateway, count = row.gateway, row.requests
        version.ok.add(minute, count)
        version.ok_total += count
        ring = version.ok_at.get(gateway)
        if ring is None:
            ring = version.ok_at[gateway] = Ring(HOUR_BINS)
        ring.add(minute, count)
        version.ever_ok_at[gateway] = max(minute, version.ever_ok_at.get(gateway, minute))
        if row.route is not None:
            caller.routes.add(row.route)
            on = version.ok_on.get(row.route)
            if on is None:
                on = version.ok_on[row.route] = Ring(SIX_HOUR_BINS)
            on.add(minute, count)
        past.successes += count
        if minute >= past.run_started:
            past.ok_since_run += count
        if minute >= past.last_failure:  # a success that comes late is no recovery
            past.streak = 0
        past.last_ok = max(past.last_ok, minute)
        past.first_ok = minute if past.first_ok < 0 else min(past.first_ok, minute)
        past.ok_at[gateway] = max(minute, past.ok_at.get(gateway, minute))

    @staticmethod
    def _fail(
        version: VersionPast, caller: CallerPast, past: CallerVersion, row: UsageRow, minute: int, who: CallerKey
    ) -> None:
        kind = REASON_CLASS.get(row.reason, CREDENTIAL)
        run = caller.runs.get((row.version, row.reason))
        if run is None:
            run = caller.runs[row.version, row.reason] = FailureRun(started=minute, last=minute, first=minute)
        elif minute - run.last > caller.run_gap(minute):
            run.runs_before += 1
            run.failures_before += run.failures
            run.started, run.failures = minute, 0
        if run.failures == 0:
            past.ok_since_run, past.run_started = 0, minute
            version.news = True
        run.failures += row.requests
        run.last = max(run.last, minute)
        run.first = min(run.first, minute)
        if run.started - minute <= caller.run_gap(run.last):
            run.started = min(run.started, minute)
        if minute >= past.last_ok:  # a failure that comes late, after successes, is over
            past.streak += row.requests
        past.last_failure = max(past.last_failure, minute)
        version.by_class[kind].add(minute, row.requests)
        version.first_failure.setdefault(kind, minute)
        recent = version.failures
        recent.append(RecentFailure(minute, who, row.gateway, row.region or "", row.route, row.reason, row.requests))
        while recent and (recent[0].minute < minute - _RECENT_MINUTES or len(recent) > _MAX_RECENT):
            recent.popleft()
