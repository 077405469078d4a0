"""The gate's side of the store: one consistent snapshot to decide on, and the steps that are recorded with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from monitor.core.decision import CallerState, Decision, Json
from monitor.core.evidence import KeyEvidence, Telemetry
from monitor.core.registry import Pin, Registry, Rollover, Waiver
from monitor.ports.lifecycle import AuditEntry, Evaluation, RolloverState
from monitor.ports.outbox import Incident, Message

CallerStateKey = tuple[str, int, str | None, str | None]
"""(key, version, client, source): a row of `v_callers`."""


class Snapshot(Protocol):
    """One consistent view of the store.

    In a snapshot opened with `write=True`, what is written becomes true when it ends without an error, all together;
    writing in another raises `StoreRefused`. Write snapshots stand in line, one after the other.
    """

    # --- evidence

    def registry(self) -> Registry:
        """Return the registry, lifecycle steps (retired_at, waivers, pins …) included."""
        ...

    def telemetry(self, now_ms: int, *, fine_window_ms: int, lookback_ms: int) -> Telemetry:
        """Return how far our eyes can be trusted; read once a tick and shared by all rollovers."""
        ...

    def key(self, rollover: str, now_ms: int) -> KeyEvidence:
        """Return the evidence on the key of that rollover. Raises `NotFound`."""
        ...

    def keys(self, rollovers: Iterable[str], now_ms: int) -> Mapping[str, KeyEvidence]:
        """Return the evidence of many rollovers by id, in few big queries. Raises `NotFound` for an unknown one."""
        ...

    def state(self, rollover: str, now_ms: int) -> RolloverState:
        """Return where that rollover stands. Raises `NotFound`."""
        ...

    def states(self, now_ms: int) -> Mapping[str, RolloverState]:
        """Return where every rollover stands, by id."""
        ...

    # --- decisions

    def record(self, decision: Decision) -> AuditEntry:
        """Append the decision to the hash-chained ledger, and keep it as the latest evaluation of its rollover."""
        ...

    def put_evaluation(self, decision: Decision) -> None:
        """Keep the decision as the latest evaluation, without a row of the ledger (nothing changed since the last)."""
        ...

    def evaluations(self) -> Mapping[str, Evaluation]:
        """Return the latest evaluation of each rollover, by id (verdicts of single regions are not kept here)."""
        ...

    def evaluation(self, rollover: str) -> Evaluation | None:
        """Return the latest evaluation of one rollover, `None` where there is none yet."""
        ...

    def audit(self, kind: str, *, rollover: str | None, body: Mapping[str, Json], at_ms: int) -> AuditEntry:
        """Append anything else to the ledger: overrides, lifecycle steps, imports."""
        ...

    def audit_entries(
        self, *, rollover: str | None = None, kind: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Return the newest rows of the ledger, newest first."""
        ...

    # --- lifecycle: each is audited

    def start_rollover(self, rollover: Rollover, *, by: str, now_ms: int) -> None:
        """Add a rollover (source `api`). Raises `Conflict` (id taken), `NotFound` (unknown key or version)."""
        ...

    def transition(self, rollover: str, *, expected: str, to: str, by: str, reason: str | None, now_ms: int) -> None:
        """Move by compare-and-set. Raises `NotFound`, and `Conflict` where the state is not `expected`.

        `retired` sets `retired_at_ms`. Which steps are allowed is `monitor.core.rollover`'s to say, not the store's.
        """
        ...

    def waive(self, waiver: Waiver, *, now_ms: int) -> None:
        """Add a waiver. Raises `NotFound` for an unknown rollover."""
        ...

    def pin(self, pin: Pin, *, now_ms: int) -> None:
        """Pin a version. Raises `NotFound` for an unknown key or version."""
        ...

    def unpin(self, key: str, version: int, *, by: str, reason: str, now_ms: int) -> None:
        """Take all pins off a version. Raises `NotFound` where there is none."""
        ...

    def acknowledge_never_used(self, rollover: str, *, by: str, reason: str, now_ms: int) -> None:
        """Record by name that the old version was never used (C1). Raises `NotFound`."""
        ...

    # --- what follows from a look

    def put_states(self, states: Mapping[CallerStateKey, CallerState], *, now_ms: int) -> None:
        """Write callers' states for `v_callers.state`; those not given keep theirs."""
        ...

    def put_incident(self, incident: Incident) -> None:
        """Open, correct or close an incident: it replaces the one of the same `id`."""
        ...

    def enqueue(self, message: Message) -> bool:
        """Add to the outbox; `False` where its `dedup_key` has been there before (then nothing is added)."""
        ...

    def put_memo(self, name: str, body: Mapping[str, Json], *, now_ms: int) -> None:
        """Keep a small named document (Slack's thread of a rollover, a planned brownout, a scheduler's last run)."""
        ...

    def memo(self, name: str) -> Mapping[str, Json] | None:
        """Return that document."""
        ...

    def memos(self, prefix: str) -> Mapping[str, Mapping[str, Json]]:
        """Return the documents whose names begin so."""
        ...


class EvidenceStore(Protocol):
    """The reading side of the gate, and the decisions' ledger."""

    def snapshot(self, *, write: bool = False) -> AbstractContextManager[Snapshot]:
        """Open one snapshot (repeatable read); `write` commits what was written when it ends without an error.

        Refuses a standby (`pg_is_in_recovery`) with `StoreRefused`: a replica's lag is invisible to the gate. Keep
        write snapshots short (on SQLite ingest waits meanwhile): decide a whole tick in a reading one first.
        """
        ...

    def verify_audit(self) -> Sequence[str]:
        """Recompute the whole hash chain; return a sentence for each fault, none when it is whole."""
        ...
