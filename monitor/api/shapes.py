"""From stored values to the JSON of reading routes; times are RFC 3339, names are as the logs have them."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.decision import CLEARED_STATES, Json, Verdict
from monitor.core.instants import DAY_MS, rfc3339
from monitor.core.registry import Pin, Registry
from monitor.core.registry_writing import pin_as_json, policy_as_json
from monitor.core.rollover import STEPS, Lifecycle
from monitor.core.rotation import Rotation
from monitor.ports import AuditEntry, CallerRow, Evaluation, Incident, Propagation, RolloverState, UsagePoint

_CLEARED = frozenset(each.value for each in CLEARED_STATES)


def time(epoch_ms: int | None) -> str | None:
    """Return RFC 3339, or null."""
    return None if epoch_ms is None else rfc3339(epoch_ms)


def rollover(
    state: RolloverState, evaluation: Evaluation | None, *, now_ms: int, stale_after_ms: int
) -> dict[str, Json]:
    """Return a rollover, where it stands, and its latest verdict as the watch loop saw it.

    Nothing is decided about a rollover that is over, and a verdict older than `stale_after_ms` is UNKNOWN: a GO of
    yesterday must not be read as one of now.
    """
    it = state.rollover
    if not STEPS[Lifecycle(state.state)]:
        evaluation = None
    verdict = None if evaluation is None else evaluation.verdict
    if evaluation is not None and now_ms - evaluation.evaluated_at_ms > stale_after_ms:
        verdict = Verdict.UNKNOWN.value
    body = evaluation.body if evaluation is not None else {}
    return {
        "id": it.id,
        "key": it.key,
        "from_version": it.from_version,
        "to_version": it.to_version,
        "started_at": rfc3339(it.started_at_ms),
        "deadline": time(it.deadline_ms),
        "retired_at": time(it.retired_at_ms),
        "channel": it.channel,
        "policy": policy_as_json(it.policy),
        "state": state.state,
        "since": rfc3339(state.since_ms),
        "by": state.by,
        "reason": state.reason,
        "decision": verdict,
        "evaluated_at": time(evaluation.evaluated_at_ms) if evaluation is not None else None,
        "progress": body.get("progress"),
        "eta": body.get("eta"),
    }


def straggler(row: CallerRow, blocker: Mapping[str, Json] | None) -> dict[str, Json]:
    """Return a caller of the old version, with what the latest decision says of it."""
    found = blocker or {}
    return {
        "key": row.key,
        "version": row.version,
        "client": row.client,
        "source": row.source,
        "state": row.state or found.get("state"),
        "first_success": time(row.first_success_ms),
        "last_success": time(row.last_success_ms),
        "last_failure": time(row.last_failure_ms),
        "successes": row.successes,
        "failures": row.failures,
        "next_expected": found.get("next_expected"),
        "requests_per_day": found.get("requests_per_day"),
        "what_would_clear_it": found.get("what_would_clear_it"),
    }


def is_straggler(row: CallerRow) -> bool:
    """Return whether a caller of the old version has not been cleared; one without a state has not been judged yet."""
    return row.state not in _CLEARED


def usage(point: UsagePoint) -> dict[str, Json]:
    """Return one step of a version's use."""
    return {
        "bucket": rfc3339(point.bucket_ms),
        "version": point.version,
        "outcome": point.outcome,
        "region": point.region,
        "requests": point.requests,
    }


def incident(it: Incident) -> dict[str, Json]:
    """Return an incident."""
    return {
        "id": it.id,
        "key": it.key,
        "version": it.version,
        "rollover": it.rollover,
        "kind": it.kind,
        "cause": it.cause,
        "severity": it.severity,
        "opened_at": rfc3339(it.opened_at_ms),
        "closed_at": time(it.closed_at_ms),
        "summary": it.summary,
        "holds_gate": it.holds_gate,
        "evidence": dict(it.evidence),
    }


def propagation(it: Propagation) -> dict[str, Json]:
    """Return when a gateway first accepted and first rejected a version."""
    return {
        "version": it.version,
        "gateway": it.gateway,
        "region": it.region,
        "first_accepted": time(it.first_accepted_ms),
        "first_rejected": time(it.first_rejected_ms),
    }


def rotation(it: Rotation) -> dict[str, Json]:
    """Return a key's schedule."""
    return {
        "key": it.key,
        "version": it.version,
        "state": it.state.value,
        "age_days": None if it.age_ms is None else it.age_ms // DAY_MS,
        "due": time(it.due_ms),
        "overdue": time(it.overdue_ms),
        "rollover": it.rollover,
    }


def audit(entry: AuditEntry) -> dict[str, Json]:
    """Return a row of the ledger."""
    return {
        "seq": entry.seq,
        "at": rfc3339(entry.at_ms),
        "kind": entry.kind,
        "rollover": entry.rollover,
        "body": dict(entry.body),
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }


def pins_of(registry: Registry, key: str, version: int) -> list[Pin]:
    """Return the pins on a version."""
    return [each for each in registry.pins if each.key == key and each.version == version]


def pin(it: Pin) -> dict[str, Json]:
    """Return a pin."""
    return pin_as_json(it)
