"""One look at the store in memory; nothing moves while it is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from monitor.adapters.memory_store.contents import Contents
from monitor.core.decision import CallerState, Decision, Json
from monitor.core.evidence import KeyEvidence, OpenIncident, Telemetry
from monitor.core.registry import Pin, Registry, Rollover, Waiver
from monitor.errors import StoreRefused
from monitor.ports.evidence_store import CallerStateKey
from monitor.ports.lifecycle import AuditEntry, Evaluation, RolloverState
from monitor.ports.outbox import Incident, Message


class MemorySnapshot:
    """See `Snapshot`. What it hands out of callers is alive: it may be read while the snapshot is open."""

    def __init__(self, contents: Contents, *, write: bool) -> None:
        """Look at these contents; the store holds its lock meanwhile."""
        self._contents = contents
        self._write = write

    # --- evidence

    def registry(self) -> Registry:
        """Return the registry."""
        return self._contents.registered.registry()

    def telemetry(self, now_ms: int, *, fine_window_ms: int, lookback_ms: int) -> Telemetry:
        """Return how far our eyes can be trusted."""
        contents = self._contents
        counts, partitions = contents.counts, contents.partitions
        fine_since_ms, since_ms = now_ms - fine_window_ms, now_ms - lookback_ms
        gateways = counts.ordered_gateways()
        return Telemetry(
            now_ms=now_ms,
            history_start_ms=min((each.first_ms for each in gateways), default=None),
            fine_since_ms=fine_since_ms,
            partitions=partitions.statuses(),
            expected_partitions=dict(partitions.expected),
            gateways=tuple(each.look(fine_since_ms=fine_since_ms, since_ms=since_ms) for each in gateways),
            gaps=tuple(partitions.gaps),
            ledger_faults=partitions.faults(),
            rejects=counts.reject_counts(since_ms),
            sampled=counts.sampled_counts(since_ms),
            unregistered=contents.unregistered(),
            clock_skew_ms=0,
        )

    def key(self, rollover: str, now_ms: int) -> KeyEvidence:
        """Return the evidence on the key of that rollover."""
        contents = self._contents
        state = contents.state(rollover, now_ms)
        plan = state.rollover
        key = self.registry().key_by_name.get(plan.key)
        versions = () if key is None else key.versions
        credentials = [credential for version in versions for credential in version.credentials]
        return KeyEvidence(
            key=plan.key,
            callers=tuple(contents.counts.callers_of(credentials)),
            last_day=contents.counts.last_day(credentials, now_ms),
            before_start=contents.counts.week_before(credentials, plan.started_at_ms),
            incidents=tuple(
                OpenIncident(
                    incident=each.id,
                    version=each.version,
                    cause=each.cause,
                    opened_at_ms=each.opened_at_ms,
                    summary=each.summary,
                    holds_gate=each.holds_gate,
                )
                for each in contents.incidents.values()
                if each.key == plan.key and each.closed_at_ms is None
            ),
            changes=tuple(
                change
                for of_key, of_rollover, change in contents.registered.changes
                if of_key == plan.key and of_rollover in {None, rollover}
            ),
            state=state.state,
            never_used_acknowledged_by=contents.acknowledged.get(rollover),
        )

    def keys(self, rollovers: Iterable[str], now_ms: int) -> Mapping[str, KeyEvidence]:
        """Return the evidence of many rollovers."""
        return {each: self.key(each, now_ms) for each in rollovers}

    def state(self, rollover: str, now_ms: int) -> RolloverState:
        """Return where that rollover stands."""
        return self._contents.state(rollover, now_ms)

    def states(self, now_ms: int) -> Mapping[str, RolloverState]:
        """Return where every rollover stands."""
        return {each.id: self._contents.state(each.id, now_ms) for each in self.registry().rollovers}

    # --- decisions

    def record(self, decision: Decision) -> AuditEntry:
        """Append the decision to the ledger, and keep it as the latest."""
        self._check_writing()
        self._contents.keep_evaluation(decision)
        return self._contents.audit.append(
            "decision", rollover=decision.rollover, body=decision.as_json(), at_ms=decision.evaluated_at_ms
        )

    def put_evaluation(self, decision: Decision) -> None:
        """Keep the decision as the latest, without a row of the ledger."""
        self._check_writing()
        self._contents.keep_evaluation(decision)

    def evaluations(self) -> Mapping[str, Evaluation]:
        """Return the latest decision of each rollover."""
        return dict(self._contents.evaluations)

    def evaluation(self, rollover: str) -> Evaluation | None:
        """Return the latest decision of one rollover."""
        return self._contents.evaluations.get(rollover)

    def audit(self, kind: str, *, rollover: str | None, body: Mapping[str, Json], at_ms: int) -> AuditEntry:
        """Append anything else to the ledger."""
        self._check_writing()
        return self._contents.audit.append(kind, rollover=rollover, body=body, at_ms=at_ms)

    def audit_entries(
        self, *, rollover: str | None = None, kind: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Return the newest rows of the ledger."""
        return self._contents.audit.newest(rollover=rollover, kind=kind, limit=limit)

    # --- lifecycle

    def start_rollover(self, rollover: Rollover, *, by: str, now_ms: int) -> None:
        """Add a rollover."""
        self._check_writing()
        self._contents.start(rollover, by=by, now_ms=now_ms)

    def transition(self, rollover: str, *, expected: str, to: str, by: str, reason: str | None, now_ms: int) -> None:
        """Move a rollover by compare-and-set."""
        self._check_writing()
        self._contents.transition(rollover, expected=expected, to=to, by=by, reason=reason, now_ms=now_ms)

    def waive(self, waiver: Waiver, *, now_ms: int) -> None:
        """Add a waiver."""
        self._check_writing()
        self._contents.waive(waiver, now_ms=now_ms)

    def pin(self, pin: Pin, *, now_ms: int) -> None:
        """Pin a version."""
        self._check_writing()
        self._contents.pin(pin, now_ms=now_ms)

    def unpin(self, key: str, version: int, *, by: str, reason: str, now_ms: int) -> None:
        """Take all pins off a version."""
        self._check_writing()
        self._contents.unpin(key, version, by=by, reason=reason, now_ms=now_ms)

    def acknowledge_never_used(self, rollover: str, *, by: str, reason: str, now_ms: int) -> None:
        """Record by name that the old version was never used."""
        self._check_writing()
        self._contents.acknowledge(rollover, by=by, reason=reason, now_ms=now_ms)

    # --- what follows from a look

    def put_states(self, states: Mapping[CallerStateKey, CallerState], *, now_ms: int) -> None:  # noqa: ARG002 - the port
        """Write callers' states."""
        self._check_writing()
        for caller, state in states.items():
            self._contents.journal.put(self._contents.states, caller, state)

    def put_incident(self, incident: Incident) -> None:
        """Open, correct or close an incident."""
        self._check_writing()
        self._contents.journal.put(self._contents.incidents, incident.id, incident)

    def enqueue(self, message: Message) -> bool:
        """Add to the outbox, once per dedup key."""
        self._check_writing()
        return self._contents.mail.enqueue(message)

    def put_memo(self, name: str, body: Mapping[str, Json], *, now_ms: int) -> None:  # noqa: ARG002 - the port
        """Keep a small named document."""
        self._check_writing()
        self._contents.keep_memo(name, body)

    def memo(self, name: str) -> Mapping[str, Json] | None:
        """Return that document."""
        return self._contents.memos.get(name)

    def memos(self, prefix: str) -> Mapping[str, Mapping[str, Json]]:
        """Return the documents whose names begin so."""
        return {name: body for name, body in sorted(self._contents.memos.items()) if name.startswith(prefix)}

    def _check_writing(self) -> None:
        if not self._write:
            raise StoreRefused("this snapshot is for reading: open one with write=True")
