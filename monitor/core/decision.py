"""What the gate says: a decision, its clauses, its blockers, and the answer around the verdict (contract: DESIGN §7).

`Decision.as_json` is the shape that other people's pipelines read; its bytes are a function of the evidence alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from monitor.core.instants import rfc3339

Json: TypeAlias = "str | int | float | bool | list[Json] | Mapping[str, Json] | None"


class Verdict(StrEnum):
    """`NO_GO`: evidence against. `UNKNOWN`: evidence missing. Both block."""

    GO = "GO"
    NO_GO = "NO_GO"
    UNKNOWN = "UNKNOWN"


class Status(StrEnum):
    """A clause's answer."""

    PASS = "pass"  # noqa: S105 - a status
    FAIL = "fail"
    UNKNOWN = "unknown"


class CallerState(StrEnum):
    """Where a caller of the old version stands; the first that fits, in this order (contract: DESIGN §6)."""

    WAIVED = "waived"
    SUSPECT = "suspect"
    MIGRATED = "migrated"
    PRESUMED_GONE = "presumed_gone"
    UNKNOWN_CADENCE = "unknown_cadence"
    DRAINING = "draining"
    OVERDUE = "overdue"
    DUE = "due"
    ACTIVE = "active"


CLEARED_STATES = frozenset({CallerState.WAIVED, CallerState.SUSPECT, CallerState.MIGRATED, CallerState.PRESUMED_GONE})
"""States that do not hold the gate."""


class EtaState(StrEnum):
    """How the rollover moves."""

    DRAINING = "draining"
    STALLED = "stalled"
    WAITING = "waiting"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause's answer: a sentence, and the numbers behind it (JSON values only)."""

    id: str
    status: Status
    summary: str
    evidence: Mapping[str, Json] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Return the contract's shape."""
        return {
            "id": self.id,
            "status": self.status.value,
            "summary": self.summary,
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerName:
    """A caller as people and logs name it."""

    client: str | None
    source: str | None

    def __str__(self) -> str:
        """Return `client/source`, with a dash for what is absent."""
        return f"{self.client or '-'}/{self.source or '-'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """One reason against GO: who, why, with which numbers, and what would clear it.

    `caller` is `None` where a clause about evidence blocks; `summary` then says what is missing.
    """

    clause: str
    summary: str
    what_would_clear_it: str
    caller: CallerName | None = None
    state: CallerState | None = None
    last_seen_ms: int | None = None
    next_expected_ms: int | None = None
    clears_at_ms: int | None = None
    requests_per_day: float | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the contract's shape."""
        return {
            "clause": self.clause,
            "caller": None if self.caller is None else {"client": self.caller.client, "source": self.caller.source},
            "state": None if self.state is None else self.state.value,
            "last_seen": _time(self.last_seen_ms),
            "next_expected": _time(self.next_expected_ms),
            "clears_at": _time(self.clears_at_ms),
            "requests_per_day": self.requests_per_day,
            "summary": self.summary,
            "what_would_clear_it": self.what_would_clear_it,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """What would break if the old version were retired now."""

    callers: int
    requests_per_day: float
    share_of_requests: float
    next_hit_ms: int | None

    def as_json(self) -> dict[str, Json]:
        """Return the contract's shape."""
        return {
            "callers": self.callers,
            "requests_per_day": self.requests_per_day,
            "share_of_requests": self.share_of_requests,
            "next_hit": _time(self.next_hit_ms),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """When GO can come at the earliest if nothing new happens, and what limits it."""

    state: EtaState
    earliest_go_ms: int | None
    limited_by: str | None

    def as_json(self) -> dict[str, Json]:
        """Return the contract's shape."""
        return {
            "earliest_go": _time(self.earliest_go_ms),
            "state": self.state.value,
            "limited_by": self.limited_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much has moved: callers cleared of all callers, and the share of requests on the new version."""

    callers: int
    callers_cleared: int
    requests_moved_share: float | None

    def as_json(self) -> dict[str, Json]:
        """Return the shape beside the contract's."""
        return {
            "callers": self.callers,
            "callers_cleared": self.callers_cleared,
            "requests_moved_share": self.requests_moved_share,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The gate's answer for one rollover at one moment."""

    rollover: str
    key: str
    from_version: int
    to_version: int
    region: str | None = None
    verdict: Verdict
    evaluated_at_ms: int
    valid_until_ms: int
    evidence_hash: str
    clauses: tuple[Clause, ...]
    blockers: tuple[Blocker, ...]
    blast_radius: BlastRadius
    eta: Eta
    progress: Progress
    telemetry_notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the contract's shape, in the contract's order."""
        return {
            "rollover": self.rollover,
            "key": self.key,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "region": self.region,
            "decision": self.verdict.value,
            "evaluated_at": rfc3339(self.evaluated_at_ms),
            "valid_until": rfc3339(self.valid_until_ms),
            "evidence_hash": self.evidence_hash,
            "clauses": [each.as_json() for each in self.clauses],
            "blockers": [each.as_json() for each in self.blockers],
            "blast_radius": self.blast_radius.as_json(),
            "eta": self.eta.as_json(),
            "progress": self.progress.as_json(),
            "telemetry_notes": list(self.telemetry_notes),
        }


def _time(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(epoch_ms)
