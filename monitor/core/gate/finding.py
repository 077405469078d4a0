"""A clause's finding: its status and sentence, and the blockers that stand behind anything but a pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitor.core.decision import Blocker, Clause, Json, Status

_WORST_FIRST = (Status.FAIL, Status.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One clause's answer with its blockers. Anything but a pass has at least one."""

    clause: Clause
    blockers: tuple[Blocker, ...] = ()

    def __post_init__(self) -> None:
        """Hold the promise: a non-pass says why, a pass blocks nothing."""
        if (self.clause.status is Status.PASS) == bool(self.blockers):
            raise ValueError(f"{self.clause.id}: {self.clause.status} with {len(self.blockers)} blockers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that keeps a clause from passing, and what would clear it (and when, if time does)."""

    status: Status
    blocker: Blocker


def trouble(clause: str, status: Status, summary: str, clear: str, *, clears_at_ms: int | None = None) -> Trouble:
    """Return a trouble with the evidence itself, of no single caller."""
    return Trouble(
        status=status,
        blocker=Blocker(clause=clause, summary=summary, what_would_clear_it=clear, clears_at_ms=clears_at_ms),
    )


def finding(clause: str, troubles: Iterable[Trouble], *, passed: str, evidence: Mapping[str, Json]) -> Finding:
    """Return the finding: the worst of the troubles, or a pass with its sentence where there are none."""
    found = list(troubles)
    status = worst(each.status for each in found)
    if status is Status.PASS:
        return Finding(clause=Clause(id=clause, status=status, summary=passed, evidence=evidence))
    first = next(each for each in found if each.status is status).blocker.summary
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Finding(
        clause=Clause(id=clause, status=status, summary=first + more, evidence=evidence),
        blockers=tuple(each.blocker for each in found),
    )


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst: fail, then unknown, then pass."""
    seen = set(statuses)
    return next((each for each in _WORST_FIRST if each in seen), Status.PASS)
