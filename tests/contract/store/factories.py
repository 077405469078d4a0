"""Values with plain defaults, and an independent recount: what a set of events must add up to, written the slow way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from monitor.core.decision import (
    BlastRadius,
    Clause,
    Decision,
    Eta,
    EtaState,
    Progress,
    Status,
    Verdict,
)
from monitor.core.events import NOT_SERVED, VERSION_REASONS, AuthEvent, Outcome, Reason, Reject, RejectReason
from monitor.core.evidence import CoverageGap
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339
from monitor.core.registry import Gateway, Key, KeyVersion, Registry, Rollover
from monitor.core.windows import (
    SLOT_MS,
    Aggregate,
    CallerDayKey,
    CallerFacts,
    CallerGatewayKey,
    CallerKey,
    DayUse,
    FailureKey,
    GatewayMinuteKey,
    Span,
    UsageKey,
)
from monitor.ports import Applied, Claim, Incident, Message, Partition, Store, Tail

T0 = parse_rfc3339("2026-05-01T00:00:00Z")
P0 = Partition("gw", 0)
OLD, NEW = "cred-a1", "cred-a2"
REGISTERED = frozenset({OLD, NEW})


def event(at_ms: int = T0, **given: Any) -> AuthEvent:
    """One success of acme on the old version at edge-1."""
    plain: dict[str, Any] = {
        "ts_ms": at_ms,
        "outcome": Outcome.SUCCESS,
        "reason": Reason.OK,
        "gateway": "edge-1",
        "region": "eu",
        "credential": OLD,
        "client": "acme",
        "source": "prod",
    }
    return AuthEvent(**{**plain, **given})


def failure(at_ms: int = T0, **given: Any) -> AuthEvent:
    """One rejection of acme's new version."""
    plain = {"outcome": Outcome.FAILURE, "reason": Reason.UNKNOWN_CREDENTIAL, "credential": NEW, "route": "/v1/pay"}
    return event(at_ms, **{**plain, **given})


def recount(
    events: Iterable[AuthEvent],
    *,
    registered: frozenset[str] = REGISTERED,
    fine: frozenset[str] = REGISTERED,
    arrival_ms: int | None = None,
) -> Aggregate:
    """Add up events one by one, straight from the words of `monitor.core.windows`."""
    total = Aggregate()
    for each in events:
        accepted = each.outcome is Outcome.SUCCESS
        known = each.credential in registered
        credential = each.credential if accepted or known else None
        if credential is None:
            total.unmapped += 1
        else:
            total.aggregated += 1
        seconds = 60 if credential in fine else 3600
        bucket = each.ts_ms - each.ts_ms % (seconds * 1000)
        cell = UsageKey(bucket, seconds, credential, each.gateway, each.region, each.outcome.value, each.reason.value)
        total.usage[cell] = total.usage.get(cell, 0) + each.count
        minute = each.ts_ms - each.ts_ms % MINUTE_MS
        _widen(total.gateways, GatewayMinuteKey(each.gateway, each.region, minute), each.ts_ms, 1)
        if each.sample_rate < 1:
            _widen(total.sampled, (each.gateway, each.region, each.ts_ms - each.ts_ms % HOUR_MS), each.ts_ms, 1)
        if credential is not None:
            _caller(total, each, credential, arrival_ms if arrival_ms is not None else each.ts_ms)
            if accepted and credential in fine:
                place = CallerGatewayKey(credential, each.client, each.source, each.gateway, each.region)
                _widen(total.caller_gateways, place, each.ts_ms, each.count)
        if not accepted and known and credential is not None:
            detail = FailureKey(
                minute,
                credential,
                each.client,
                each.source,
                each.gateway,
                each.region,
                each.route,
                each.method,
                each.reason.value,
            )
            total.failures[detail] = total.failures.get(detail, 0) + each.count
    return total


def _caller(total: Aggregate, each: AuthEvent, credential: str, arrival_ms: int) -> None:
    who = (credential, each.client, each.source, each.region)
    facts = CallerFacts()
    if each.outcome is Outcome.SUCCESS:
        served = each.reason not in NOT_SERVED
        facts.accepted = each.count
        facts.first_accepted_ms = facts.last_accepted_ms = each.ts_ms
        facts.last_arrival_ms = arrival_ms
        if each.ts_suspect:
            facts.last_suspect_ms = arrival_ms
        if served:
            facts.served = each.count
            facts.first_served_ms = facts.last_served_ms = each.ts_ms
        slot = 1 << each.ts_ms % DAY_MS // SLOT_MS if served else 0
        use = DayUse(first_ms=each.ts_ms, last_ms=each.ts_ms, uses=each.count, slots=slot)
        day = CallerDayKey(*who, each.ts_ms // DAY_MS)
        if day in total.days:
            total.days[day].merge(use)
        else:
            total.days[day] = use
    else:
        facts.rejected = each.count
        facts.first_rejected_ms = facts.last_rejected_ms = each.ts_ms
        if each.reason in VERSION_REASONS:
            facts.version_rejected = each.count
            facts.last_version_rejected_ms = each.ts_ms
    total.callers.setdefault(CallerKey(*who), CallerFacts()).merge(facts)


def _widen(spans: dict[Any, Span], key: Any, at_ms: int, count: int) -> None:
    span = Span(first_ms=at_ms, last_ms=at_ms, count=count)
    if key in spans:
        spans[key].merge(span)
    else:
        spans[key] = span


class Feed:
    """One worker with one partition: claims it, and applies flushes one after the other."""

    def __init__(self, store: Store, partition: Partition = P0, *, offset: int = 0, identity: str = "topic-1") -> None:
        """Claim; begin where it was never read."""
        self.store = store
        self.partition = partition
        self.claim: Claim = store.claim(partition, worker="w1", now_ms=T0)
        if self.claim.next_offset is None:
            store.begin(self.claim, offset=offset, identity=identity, now_ms=T0)
        self.next = offset if self.claim.next_offset is None else self.claim.next_offset

    def flush(
        self,
        events: Sequence[AuthEvent] = (),
        *,
        rejects: Sequence[Reject] = (),
        tail: Tail | None = None,
        **given: Any,
    ) -> Applied:
        """Apply these; one offset each, at least one."""
        aggregate = recount(events, **given)
        applied = Applied(
            partition=self.partition,
            epoch=self.claim.epoch,
            from_offset=self.next,
            to_offset=self.next + max(len(events) + len(rejects), 1),
            records=len(events) + len(rejects),
            aggregate=aggregate,
            rejects=rejects,
            tail=tail,
            applied_at_ms=T0,
        )
        self.store.apply(applied)
        self.next = applied.to_offset
        return applied


def reject(offset: int = 0, **given: Any) -> Reject:
    """A record that was not JSON."""
    plain: dict[str, Any] = {
        "offset": offset,
        "index": 0,
        "reason": RejectReason.NOT_JSON,
        "sha256": "ab" * 32,
        "sample": "{…",
        "arrival_ms": T0,
    }
    return Reject(**{**plain, **given})


def gap(**given: Any) -> CoverageGap:
    """Records that retention took before we came."""
    plain: dict[str, Any] = {
        "topic": P0.topic,
        "partition": P0.partition,
        "from_ms": T0 - HOUR_MS,
        "to_ms": T0,
        "recorded_at_ms": T0 + MINUTE_MS,
        "reason": "retention",
    }
    return CoverageGap(**{**plain, **given})


def key(name: str = "billing-api", *, old: Sequence[str] = (OLD,), new: Sequence[str] = (NEW,), **given: Any) -> Key:
    """A key with two versions."""
    versions = (
        KeyVersion(version=1, credentials=tuple(old), created_at_ms=T0 - 200 * DAY_MS, scopes=("read",)),
        KeyVersion(version=2, credentials=tuple(new), created_at_ms=T0),
    )
    return replace(Key(key=name, versions=versions), **given)


def rollover(name: str = "billing-2026-05", **given: Any) -> Rollover:
    """The key's move from its first version to its second."""
    plain = Rollover(id=name, key="billing-api", from_version=1, to_version=2, started_at_ms=T0)
    return replace(plain, **given)


def registry(**given: Any) -> Registry:
    """One key, one rollover, one gateway."""
    plain: dict[str, Any] = {
        "keys": (key(),),
        "rollovers": (rollover(),),
        "gateways": (Gateway(gateway="edge-1", region="eu"),),
    }
    return Registry(**{**plain, **given})


def registered(store: Store, **given: Any) -> Registry:
    """Import the plain registry into a store, as from `keys.yaml`."""
    made = registry(**given)
    store.import_registry(made, source="keys.yaml", by="ana", now_ms=T0)
    return made


def decision(name: str = "billing-2026-05", **given: Any) -> Decision:
    """A NO_GO."""
    plain: dict[str, Any] = {
        "rollover": name,
        "key": "billing-api",
        "from_version": 1,
        "to_version": 2,
        "verdict": Verdict.NO_GO,
        "evaluated_at_ms": T0,
        "valid_until_ms": T0 + 10 * MINUTE_MS,
        "evidence_hash": "e" * 64,
        "clauses": (Clause(id="C7", status=Status.FAIL, summary="1 caller not proven", evidence={"share": 0.25}),),
        "blockers": (),
        "blast_radius": BlastRadius(callers=1, requests_per_day=41.5, share_of_requests=0.25, next_hit_ms=None),
        "eta": Eta(state=EtaState.WAITING, earliest_go_ms=None, limited_by="C7 acme/prod"),
        "progress": Progress(callers=4, callers_cleared=3, requests_moved_share=0.75),
    }
    return Decision(**{**plain, **given})


def incident(name: str = "i-1", **given: Any) -> Incident:
    """An open failed rollover on the new version."""
    plain: dict[str, Any] = {
        "id": name,
        "key": "billing-api",
        "version": 2,
        "rollover": "billing-2026-05",
        "kind": "failed_rollover",
        "cause": "propagation_delay",
        "severity": "critical",
        "opened_at_ms": T0,
        "summary": "v2 is rejected at 1 of 3 gateways",
        "holds_gate": True,
        "evidence": {"gateways": ["edge-1"]},
    }
    return Incident(**{**plain, **given})


def message(name: str = "m-1", **given: Any) -> Message:
    """Something for Slack about the rollover."""
    plain: dict[str, Any] = {
        "dedup_key": name,
        "channel": "slack",
        "order_key": "billing-2026-05",
        "reason": "first",
        "body": {"text": f"this is {name}", "blocks": []},
        "created_at_ms": T0,
    }
    return Message(**{**plain, **given})
