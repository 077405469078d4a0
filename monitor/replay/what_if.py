"""Policies side by side on the same history: when each would have said GO, and whom that would have broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from monitor.core.alerting.callers import CallerId
from monitor.core.alerting.look import Exempt
from monitor.core.decision import Decision, Verdict
from monitor.core.instants import rfc3339
from monitor.core.registry import Registry, Rollover
from monitor.replay.history import History


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one policy would have meant for one rollover.

    broken: callers (not waived, noise or outsiders) that used the old version after the first GO; lost: how often a GO
    was taken back.
    """

    rollover: str
    first_go_ms: int | None = None
    lost: int = 0
    last_verdict: Verdict | None = None
    broken: list[CallerId] = field(default_factory=list)


class Outcomes:
    """Gathers the decisions of one replay."""

    def __init__(self, rollovers: Iterable[Rollover]) -> None:
        """Start without any."""
        self.by_rollover = {each.id: Outcome(rollover=each.id) for each in rollovers}

    def add(self, decision: Decision) -> None:
        """Take in a decision."""
        outcome = self.by_rollover[decision.rollover]
        if decision.verdict is Verdict.GO:
            if outcome.first_go_ms is None:
                outcome.first_go_ms = decision.evaluated_at_ms
        elif outcome.last_verdict is Verdict.GO:
            outcome.lost += 1
        outcome.last_verdict = decision.verdict

    def finish(self, registry: Registry, history: History) -> Sequence[Outcome]:
        """Return the outcomes, with who came back after the first GO."""
        history.settle()
        for rollover in registry.rollovers:
            outcome = self.by_rollover[rollover.id]
            go_ms = outcome.first_go_ms
            if go_ms is None:
                continue
            clients = registry.key_by_name[rollover.key].clients
            exempt = Exempt.of(registry, rollover, go_ms)
            outcome.broken = [
                view.id
                for view in history.callers(rollover, go_ms, first_look=True).changed()
                if (last := view.last_old_use_ms) is not None
                and last > go_ms
                and not exempt.covers(view.id)
                and (not clients or view.client in clients)
            ]
        return list(self.by_rollover.values())


def first_go_text(outcome: Outcome) -> str:
    """Return when the first GO came, in words."""
    return "never" if outcome.first_go_ms is None else rfc3339(outcome.first_go_ms)
