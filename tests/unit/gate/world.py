"""A small world to ask the gate about: events in, evidence out, by a plain recount that shares nothing with ingest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from monitor.core.activity import Activity, Day
from monitor.core.callers import CallerCache
from monitor.core.decision import Decision
from monitor.core.evidence import CallerRecord, GatewayLiveness, KeyEvidence, Telemetry
from monitor.core.gate import decide
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339
from monitor.core.policy import Policy
from monitor.core.registry import Gateway, Key, KeyVersion, Registry, Rollover
from monitor.core.windows import SLOT_MS, CallerFacts

START = parse_rfc3339("2026-05-01T00:00:00Z")
OLD, NEW = "cred-1", "cred-2"


@dataclass(frozen=True, kw_only=True)
class Use:
    """One authentication, as the recount needs it."""

    at: int
    client: str | None = "acme"
    source: str | None = "eu"
    credential: str = OLD
    region: str | None = None
    ok: bool = True
    served: bool = True
    suspect: bool = False
    arrived: int | None = None
    count: int = 1


def every(step: int, *, first: int, last: int, **fields: object) -> list[Use]:
    """Return uses at equal steps from `first` to `last` inclusive."""
    return [Use(at=at, **fields) for at in range(first, last + 1, step)]  # type: ignore[arg-type]


def records(uses: Iterable[Use]) -> tuple[CallerRecord, ...]:
    """Return caller records of these uses."""
    groups: dict[tuple[str, str | None, str | None, str | None], list[Use]] = {}
    for use in uses:
        groups.setdefault((use.credential, use.client, use.source, use.region), []).append(use)
    return tuple(
        CallerRecord(
            credential=k[0], client=k[1], source=k[2], region=k[3], facts=_facts(mine), activity=_activity(mine)
        )
        for k, mine in groups.items()
    )


def _facts(uses: Sequence[Use]) -> CallerFacts:
    facts = CallerFacts()
    for use in uses:
        at = use.at
        facts.merge(
            CallerFacts(
                accepted=use.count if use.ok else 0,
                served=use.count if use.ok and use.served else 0,
                rejected=0 if use.ok else use.count,
                version_rejected=0 if use.ok else use.count,
                first_accepted_ms=at if use.ok else None,
                last_accepted_ms=at if use.ok else None,
                first_served_ms=at if use.ok and use.served else None,
                last_served_ms=at if use.ok and use.served else None,
                first_rejected_ms=None if use.ok else at,
                last_rejected_ms=None if use.ok else at,
                last_version_rejected_ms=None if use.ok else at,
                last_arrival_ms=(use.arrived or at) if use.ok else None,
                last_suspect_ms=(use.arrived or at) if use.suspect and use.ok else None,
            )
        )
    return facts


def _activity(uses: Sequence[Use]) -> Activity:
    return Activity.of(
        Day(
            use.at // DAY_MS,
            use.at,
            use.at,
            use.count,
            1 << use.at % DAY_MS // SLOT_MS if use.served else 0,
        )
        for use in uses
        if use.ok
    )


@dataclass(kw_only=True)
class World:
    """Everything that `decide` takes, healthy unless said: history for 200 days, one gateway, a ready detector."""

    uses: list[Use] = field(default_factory=list)
    now: int = START + 30 * DAY_MS
    policy: Policy = field(default_factory=Policy)
    registry: Registry = field(default_factory=lambda: registry())  # noqa: PLW0108 - defined below
    rollover: str = "r"
    telemetry: dict[str, object] = field(default_factory=dict)
    evidence: dict[str, object] = field(default_factory=dict)
    region: str | None = None
    cache: CallerCache | None = None

    def at(self, now: int) -> World:
        """Return the same world at another time, knowing only what had happened by then."""
        return replace(self, now=now)

    def seen(self) -> Telemetry:
        """Return the telemetry."""
        given: dict[str, object] = {
            "now_ms": self.now,
            "history_start_ms": START - 200 * DAY_MS,
            "fine_since_ms": self.now - 20 * DAY_MS,
            "gateways": (
                GatewayLiveness(
                    gateway="edge", region=None, first_ms=START - 200 * DAY_MS, last_ms=self.now - MINUTE_MS
                ),
            ),
            "clock_skew_ms": 0,
            "replayed": True,
        }
        return Telemetry(**(given | self.telemetry))  # type: ignore[arg-type]

    def known(self) -> KeyEvidence:
        """Return the evidence of the key."""
        given: dict[str, object] = {
            "key": "k",
            "callers": records(use for use in self.uses if (use.arrived or use.at) <= self.now),
            "detector": None,
        }
        return KeyEvidence(**(given | self.evidence))  # type: ignore[arg-type]

    def decide(self) -> Decision:
        """Ask the gate."""
        return decide(
            rollover=self.registry.rollover_by_id[self.rollover],
            registry=self.registry,
            policy=self.policy,
            evidence=self.known(),
            telemetry=self.seen(),
            region=self.region,
            cache=self.cache,
        )

    def first_go(self, *, until: int, step: int = HOUR_MS) -> int | None:
        """Return the first time from now on at which the gate says GO, or `None`."""
        at = self.now
        while at <= until:
            if self.at(at).decide().verdict == "GO":
                return at
            at += step
        return None


def registry(**fields: object) -> Registry:
    """Return a registry with one key, two versions, one gateway and one rollover `r`."""
    given: dict[str, object] = {
        "keys": (
            Key(
                key="k",
                versions=(KeyVersion(version=1, credentials=(OLD,)), KeyVersion(version=2, credentials=(NEW,))),
            ),
        ),
        "gateways": (Gateway(gateway="edge"),),
        "rollovers": (Rollover(id="r", key="k", from_version=1, to_version=2, started_at_ms=START),),
    }
    return Registry(**(given | fields))  # type: ignore[arg-type]


def moved(
    client: str = "acme", source: str | None = "eu", *, step: int = HOUR_MS, at: int = START + 2 * DAY_MS
) -> list[Use]:
    """Return a caller that used the old version steadily, switched cleanly at a moment, and is there since."""
    return [
        *every(step, first=START - 150 * DAY_MS, last=at - step, client=client, source=source),
        *every(step, first=at, last=START + 60 * DAY_MS, client=client, source=source, credential=NEW),
    ]
