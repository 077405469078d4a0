"""Looks at one rollover, made from the few things that a rule can see."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from monitor.core.activity import Activity, Day
from monitor.core.alerting import CallerView, Look, follow
from monitor.core.alerts import Alert, AlertKind
from monitor.core.decision import (
    BlastRadius,
    Blocker,
    CallerName,
    CallerState,
    Clause,
    Decision,
    Eta,
    EtaState,
    Json,
    Progress,
    Status,
    Verdict,
)
from monitor.core.instants import DAY_MS, HOUR_MS, parse_rfc3339
from monitor.core.registry import Key, KeyVersion, Noise, Registry, Rollover, Waiver
from monitor.core.windows import SLOT_MS, CallerFacts

START = parse_rfc3339("2026-05-01T00:00:00Z")
DEADLINE = START + 30 * DAY_MS
HISTORY = START - 100 * DAY_MS
ACME = ("acme", "eu")
GLOBEX = ("globex", "us")

KEY = Key(
    key="billing-api",
    versions=(KeyVersion(version=1, credentials=("old",)), KeyVersion(version=2, credentials=("new",))),
)
ROLLOVER = Rollover(id="billing-1", key="billing-api", from_version=1, to_version=2, started_at_ms=START)


def facts(times: Iterable[int], *, rejected: Iterable[int] = ()) -> CallerFacts:
    """Return facts of served uses and version rejections at these times."""
    made = CallerFacts()
    for at in times:
        made.merge(
            CallerFacts(
                accepted=1,
                served=1,
                first_accepted_ms=at,
                last_accepted_ms=at,
                first_served_ms=at,
                last_served_ms=at,
                last_arrival_ms=at,
            )
        )
    for at in rejected:
        made.merge(CallerFacts(rejected=1, first_rejected_ms=at, last_rejected_ms=at))
    return made


def caller(
    who: tuple[str | None, str | None] = ACME,
    *,
    old: Sequence[int] = (),
    new: Sequence[int] = (),
    rejected: Sequence[int] = (),
    known: bool | None = None,
) -> CallerView:
    """Return a caller with these uses; `known` says whether any version ever accepted it (default: if any did)."""
    days = Activity()
    for at in old:
        days.add(Day(at // DAY_MS, at, at, 1, 1 << (at % DAY_MS // SLOT_MS)))
    return CallerView(
        client=who[0],
        source=who[1],
        old=facts(old, rejected=rejected),
        old_days=(days,),
        new=facts(new),
        accepted_ever=bool(old or new) if known is None else known,
    )


@dataclass(frozen=True)
class Crowd:
    """All callers, all of them changed."""

    views: tuple[CallerView, ...] = ()

    def find(self, who: tuple[str | None, str | None]) -> CallerView | None:
        return next((each for each in self.views if each.id == who), None)

    def changed(self) -> Iterable[CallerView]:
        return self.views

    def sources_known(self) -> set[str | None]:
        return {each.source for each in self.views if each.accepted_ever}


def look(
    now: int,
    *callers: CallerView,
    verdict: Verdict = Verdict.NO_GO,
    holding: Iterable[tuple[str | None, str | None]] | None = None,
    c7: Status | None = None,
    clauses: Sequence[Clause] = (),
    rollover: Rollover = ROLLOVER,
    clients: tuple[str, ...] = (),
    waivers: tuple[Waiver, ...] = (),
    noise: tuple[Noise, ...] = (),
    history_start: int | None = HISTORY,
) -> Look:
    """Return a look; by default every caller given that used the old version holds C7, unless the verdict is GO."""
    if holding is None:
        holding = () if verdict is Verdict.GO else [each.id for each in callers if each.old.accepted]
    blockers = tuple(
        Blocker(
            clause="C7",
            summary=f"{who[0]} is not proven",
            what_would_clear_it="one success on v2, or a waiver",
            caller=CallerName(client=who[0], source=who[1]),
            state=CallerState.ACTIVE,
            next_expected_ms=now + HOUR_MS,
            requests_per_day=1.0,
        )
        for who in holding
    )
    status = c7 if c7 is not None else Status.FAIL if blockers else Status.PASS
    key = replace(KEY, clients=clients)
    decision = Decision(
        rollover=rollover.id,
        key=rollover.key,
        from_version=1,
        to_version=2,
        verdict=verdict,
        evaluated_at_ms=now,
        valid_until_ms=now + 600_000,
        evidence_hash="0",
        clauses=(*clauses, Clause(id="C7", status=status, summary="callers")),
        blockers=blockers,
        blast_radius=BlastRadius(callers=0, requests_per_day=0.0, share_of_requests=0.0, next_hit_ms=None),
        eta=Eta(state=EtaState.DRAINING, earliest_go_ms=None, limited_by=None),
        progress=Progress(callers=0, callers_cleared=0, requests_moved_share=None),
    )
    return Look(
        rollover=rollover,
        key=key,
        registry=Registry(keys=(key,), rollovers=(rollover,), waivers=waivers, noise=noise),
        decision=decision,
        callers=Crowd(callers),
        history_start_ms=history_start,
        now_ms=now,
    )


def told(*looks: Look, kind: AlertKind | None = None) -> list[Alert]:
    """Return all alerts of consecutive looks, of one kind (with its `resolved`) where given.

    The memory goes through JSON between two looks, as it does in the daemon.
    """
    memory: dict[str, Json] = {}
    alerts: list[Alert] = []
    for each in looks:
        found, kept = follow(memory, each)
        alerts += found
        memory = json.loads(json.dumps(kept))
    if kind is None:
        return alerts
    return [each for each in alerts if each.kind is kind or each.evidence.get("kind") == kind.value]


def kinds(alerts: Iterable[Alert]) -> list[str]:
    """Return what was told, in order."""
    return [each.kind.value for each in alerts]
