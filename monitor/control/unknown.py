"""The answer when there is no answer: a decision of the contract's shape that says UNKNOWN, and why."""

from __future__ import annotations

import hashlib

from monitor.core.decision import (
    BlastRadius,
    Blocker,
    Clause,
    Decision,
    Eta,
    EtaState,
    Json,
    Progress,
    Status,
    Verdict,
)
from monitor.core.instants import rfc3339
from monitor.core.registry import Registry, Rollover

CLAUSES = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9")
_RETRY = "ask again; if it stays so, `rollwatch doctor` says what is wrong"


def unknown_decision(rollover: Rollover, *, region: str | None, why: str, now_ms: int) -> Decision:
    """Return UNKNOWN for a rollover whose evidence could not be read or judged. It is valid for this moment only."""
    return Decision(
        rollover=rollover.id,
        key=rollover.key,
        from_version=rollover.from_version,
        to_version=rollover.to_version,
        region=region,
        verdict=Verdict.UNKNOWN,
        evaluated_at_ms=now_ms,
        valid_until_ms=now_ms,
        evidence_hash=_hash(rollover.id, why),
        clauses=tuple(Clause(id=each, status=Status.UNKNOWN, summary=why) for each in CLAUSES),
        blockers=(Blocker(clause="C2", summary=why, what_would_clear_it=_RETRY),),
        blast_radius=BlastRadius(callers=0, requests_per_day=0.0, share_of_requests=0.0, next_hit_ms=None),
        eta=Eta(state=EtaState.WAITING, earliest_go_ms=None, limited_by="C2"),
        progress=Progress(callers=0, callers_cleared=0, requests_moved_share=None),
        telemetry_notes=(why,),
    )


def unknown_body(
    rollover: str, *, registry: Registry | None, region: str | None, why: str, now_ms: int
) -> dict[str, Json]:
    """Return the same as JSON, also where not even the registry could be read: then key and versions are null.

    Numbers that nobody could count are null, not zero.
    """
    known = registry.rollover_by_id.get(rollover) if registry is not None else None
    stand_in = known or Rollover(id=rollover, key="", from_version=0, to_version=0, started_at_ms=0)
    body = unknown_decision(stand_in, region=region, why=why, now_ms=now_ms).as_json()
    if known is None:
        body |= {"key": None, "from_version": None, "to_version": None}
    return body | {
        "blast_radius": {"callers": None, "requests_per_day": None, "share_of_requests": None, "next_hit": None},
        "evaluated_at": rfc3339(now_ms),
    }


def _hash(rollover: str, why: str) -> str:
    return hashlib.sha256(f"unknown\n{rollover}\n{why}".encode()).hexdigest()
