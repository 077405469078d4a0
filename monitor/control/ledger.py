"""No decision without its row: what is answered is in the ledger, and an unchanged answer is there once."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.decision import Decision, Json, Verdict
from monitor.ports import Evaluation, Snapshot

DECISION_KIND = "decision"


def substance(body: Mapping[str, Json]) -> Json:
    """Return what a decision says, without the numbers that move with every look."""
    clauses, blockers = body.get("clauses"), body.get("blockers")
    return [
        body.get("decision"),
        [[each.get("id"), each.get("status")] for each in _objects(clauses)],
        [[each.get("clause"), each.get("caller"), each.get("state")] for each in _objects(blockers)],
        body.get("telemetry_notes") if isinstance(body.get("telemetry_notes"), list) else [],
    ]


def keep_looked(snapshot: Snapshot, decision: Decision, known: Evaluation | None) -> bool:
    """Write down what the watch loop saw, in a writing snapshot; return whether it says something new."""
    if known is not None and substance(known.body) == substance(decision.as_json()):
        snapshot.put_evaluation(decision)
        return False
    snapshot.record(decision)
    return True


def keep_answered(snapshot: Snapshot, decision: Decision) -> None:
    """Write down what somebody is about to be told, in a writing snapshot."""
    snapshot.record(decision)


def is_written(snapshot: Snapshot, decision: Decision) -> bool:
    """Return whether the ledger's latest row on the rollover says the same on the same evidence.

    A GO is never taken for another one: something may be retired on it.
    """
    if decision.verdict is Verdict.GO or decision.region is not None:
        return False
    rows = snapshot.audit_entries(rollover=decision.rollover, kind=DECISION_KIND, limit=1)
    return bool(rows) and (
        rows[0].body.get("evidence_hash") == decision.evidence_hash
        and rows[0].body.get("decision") == decision.verdict.value
        and rows[0].body.get("region") is None
    )


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
