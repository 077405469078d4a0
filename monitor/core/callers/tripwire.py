"""After the old version was frozen, disabled or retired: who still comes with it, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.core.decision import CallerName
from monitor.core.evidence import CallerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripped:
    """A caller that came with the old version since a moment: when last accepted, and when last rejected."""

    caller: CallerName
    accepted_ms: int | None
    rejected_ms: int | None


def tripped(callers: Iterable[CallerRecord], *, old_credentials: frozenset[str], since_ms: int) -> tuple[Tripped, ...]:
    """Return who was accepted or rejected with the old version at or after a moment, by name.

    Of the rejected only those who had been accepted before, ever: strangers who try old keys are not customers.
    """
    accepted: dict[CallerName, int] = {}
    rejected: dict[CallerName, int] = {}
    for record in callers:
        if record.credential in old_credentials:
            name = CallerName(client=record.client, source=record.source)
            accepted[name] = max(accepted.get(name, -1), record.facts.last_accepted_ms or -1)
            rejected[name] = max(rejected.get(name, -1), record.facts.last_rejected_ms or -1)
    return tuple(
        Tripped(
            caller=name,
            accepted_ms=accepted[name] if accepted[name] >= since_ms else None,
            rejected_ms=rejected[name] if rejected[name] >= since_ms else None,
        )
        for name in sorted(accepted, key=lambda each: (each.client or "", each.source or ""))
        if accepted[name] >= 0 and max(accepted[name], rejected[name]) >= since_ms
    )
