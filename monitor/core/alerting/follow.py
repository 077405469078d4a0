"""All rules of one rollover, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.alerting.deadline import deadline
from monitor.core.alerting.flip_flop import flip_flop
from monitor.core.alerting.look import Look, Memory
from monitor.core.alerting.newcomers import new_adopter, suspect
from monitor.core.alerting.retirement import post_retirement_use
from monitor.core.alerting.straggler import straggler
from monitor.core.alerting.verdict import decision_changed
from monitor.core.alerts import Alert
from monitor.core.decision import Json

RULES: Mapping[str, Callable[[Memory, Look], tuple[list[Alert], Memory]]] = {
    "decision_changed": decision_changed,
    "suspect": suspect,
    "new_adopter": new_adopter,
    "flip_flop": flip_flop,
    "straggler": straggler,
    "deadline": deadline,
    "post_retirement_use": post_retirement_use,
}


def follow(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Return the alerts that follow from this look, and what has to be remembered for the next one.

    Start with an empty memory; give back what came out. The same memory and look give the same answer.
    """
    alerts: list[Alert] = []
    after: dict[str, Json] = {}
    for name, rule in RULES.items():
        before = memory.get(name)
        told, kept = rule(before if isinstance(before, Mapping) else {}, look)
        alerts += told
        if kept:
            after[name] = kept
    return alerts, after
