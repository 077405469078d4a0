"""One consistent view of the store, to decide on; and what is written with a decision."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, text

from monitor.adapters.sql import lifecycle
from monitor.adapters.sql.bulk import Field, Upsert
from monitor.adapters.sql.chain import append_audit, faults, newest_entries
from monitor.adapters.sql.counting import Stretch, count_requests
from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.incidents import open_incidents, put_incident
from monitor.adapters.sql.kept_callers import KeptCallers
from monitor.adapters.sql.outbox import enqueue
from monitor.adapters.sql.registry import RegistryCache
from monitor.adapters.sql.schema import records
from monitor.adapters.sql.telemetry import read_telemetry
from monitor.core.chain import canonical_json
from monitor.core.decision import CallerState, Decision, Json
from monitor.core.evidence import CallerRecord, Change, KeyEvidence, RequestCounts, Telemetry
from monitor.core.registry import Pin, Registry, Rollover, Waiver
from monitor.errors import NotFound, StoreRefused
from monitor.ports import AuditEntry, CallerStateKey, Evaluation, Incident, Message, RolloverState, Snapshot

_EVALUATIONS = Upsert(
    "evaluations",
    ("rollover",),
    (
        Field("rollover", "text"),
        Field("evaluated_at_ms", "bigint", sql="excluded.evaluated_at_ms"),
        Field("verdict", "text", sql="excluded.verdict"),
        Field("body", "text", sql="excluded.body"),
    ),
)
_STATES = Upsert(
    "caller_states",
    ("digest",),
    (
        Field("digest", "bytea"),
        Field("key", "text"),
        Field("version", "integer"),
        Field("client", "text"),
        Field("source", "text"),
        Field("state", "text", sql="excluded.state"),
        Field("at_ms", "bigint", sql="excluded.at_ms"),
    ),
)
_MEMOS = Upsert(
    "memos",
    ("name",),
    (
        Field("name", "text"),
        Field("body", "text", sql="excluded.body"),
        Field("at_ms", "bigint", sql="excluded.at_ms"),
    ),
)


class SqlSnapshot:
    """See `monitor.ports.Snapshot`; lives as long as its transaction."""

    def __init__(self, connection: Connection, cache: RegistryCache, kept_callers: KeptCallers, *, write: bool) -> None:
        """Look through this connection."""
        self._connection = connection
        self._cache = cache
        self._kept_callers = kept_callers
        self._write = write

    # --- evidence

    def registry(self) -> Registry:
        """Return the registry, lifecycle steps included."""
        return self._cache.read(self._connection)[1]

    def telemetry(self, now_ms: int, *, fine_window_ms: int, lookback_ms: int) -> Telemetry:
        """Return how far our eyes can be trusted."""
        return read_telemetry(self._connection, now_ms, fine_window_ms=fine_window_ms, lookback_ms=lookback_ms)

    def key(self, rollover: str, now_ms: int) -> KeyEvidence:
        """Return the evidence on the key of that rollover."""
        return self.keys([rollover], now_ms)[rollover]

    def keys(self, rollovers: Iterable[str], now_ms: int) -> Mapping[str, KeyEvidence]:
        """Return the evidence of many rollovers, in a handful of queries."""
        plans = [self._rollover(name) for name in rollovers]
        if not plans:
            return {}
        keys = sorted({plan.key for plan in plans})
        connection = self._connection
        callers = self._kept_callers.of_keys(connection, keys)
        days = count_requests(connection, [Stretch.last_day(key, now_ms) for key in keys])
        weeks = count_requests(connection, [Stretch.week_before(p.id, p.key, p.started_at_ms) for p in plans])
        incidents = open_incidents(connection, set(keys))
        changes = self._changes(keys)
        steps = lifecycle.state_rows(connection)
        acknowledged = self._acknowledged()
        return {
            plan.id: KeyEvidence(
                key=plan.key,
                callers=callers[plan.key],
                last_day=_with_zeros(days[plan.key], callers[plan.key]),
                before_start=_with_zeros(weeks[plan.id], callers[plan.key]),
                incidents=tuple(incidents.get(plan.key, ())),
                changes=tuple(change for of, change in changes.get(plan.key, ()) if of in {None, plan.id}),
                state=lifecycle.state_of(plan, steps.get(plan.id), now_ms).state,
                never_used_acknowledged_by=acknowledged.get(plan.id),
            )
            for plan in plans
        }

    def state(self, rollover: str, now_ms: int) -> RolloverState:
        """Return where that rollover stands."""
        plan = self._rollover(rollover)
        table = records.rollover_states
        row = self._connection.execute(select(table).where(table.c.rollover == rollover)).one_or_none()
        return lifecycle.state_of(plan, row, now_ms)

    def states(self, now_ms: int) -> Mapping[str, RolloverState]:
        """Return where every rollover stands."""
        steps = lifecycle.state_rows(self._connection)
        return {each.id: lifecycle.state_of(each, steps.get(each.id), now_ms) for each in self.registry().rollovers}

    def _rollover(self, name: str) -> Rollover:
        found = self.registry().rollover_by_id.get(name)
        if found is None:
            raise NotFound(f"there is no rollover {name!a}")
        return found

    def _changes(self, keys: Sequence[str]) -> dict[str, list[tuple[str | None, Change]]]:
        table = records.registry_changes.c
        query = select(table.key, table.rollover, table.at_ms, table.what).order_by(table.id)
        found: dict[str, list[tuple[str | None, Change]]] = {}
        if len(keys) == 1:
            query = query.where(table.key == keys[0])
        for key, rollover, at_ms, what in self._connection.execute(query):
            found.setdefault(key, []).append((rollover, Change(at_ms=at_ms, what=what)))
        return found

    def _acknowledged(self) -> dict[str, str]:
        table = records.acknowledgements.c
        return {row.rollover: row.by for row in self._connection.execute(select(table.rollover, table.by))}

    # --- decisions

    def record(self, decision: Decision) -> AuditEntry:
        """Append the decision to the ledger, and keep it as the latest of its rollover."""
        connection = self._writing()
        self._keep(decision)
        entry = append_audit(
            connection,
            kind="decision",
            rollover=decision.rollover,
            body=decision.as_json(),
            at_ms=decision.evaluated_at_ms,
        )
        connection.execute(
            insert(records.decisions).values(
                seq=entry.seq,
                rollover=decision.rollover,
                evaluated_at_ms=decision.evaluated_at_ms,
                verdict=decision.verdict.value,
                evidence_hash=decision.evidence_hash,
            )
        )
        return entry

    def put_evaluation(self, decision: Decision) -> None:
        """Keep the decision as the latest, without a row of the ledger."""
        self._writing()
        self._keep(decision)

    def _keep(self, decision: Decision) -> None:
        if decision.region is None:
            body = canonical_json(decision.as_json())
            row = (decision.rollover, decision.evaluated_at_ms, decision.verdict.value, body)
            _EVALUATIONS.run(self._connection, [row])

    def evaluations(self) -> Mapping[str, Evaluation]:
        """Return the latest decision of each rollover."""
        return {
            row.rollover: _evaluation(row)
            for row in self._connection.execute(select(records.evaluations).order_by(records.evaluations.c.rollover))
        }

    def evaluation(self, rollover: str) -> Evaluation | None:
        """Return the latest decision of one rollover."""
        table = records.evaluations
        row = self._connection.execute(select(table).where(table.c.rollover == rollover)).one_or_none()
        return None if row is None else _evaluation(row)

    def audit(self, kind: str, *, rollover: str | None, body: Mapping[str, Json], at_ms: int) -> AuditEntry:
        """Append anything else to the ledger."""
        return append_audit(self._writing(), kind=kind, rollover=rollover, body=body, at_ms=at_ms)

    def audit_entries(
        self, *, rollover: str | None = None, kind: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Return the newest rows of the ledger, newest first."""
        return newest_entries(self._connection, rollover=rollover, kind=kind, limit=limit)

    # --- lifecycle

    def start_rollover(self, rollover: Rollover, *, by: str, now_ms: int) -> None:
        """Add a rollover."""
        lifecycle.start_rollover(self._writing(), self.registry(), rollover, by=by, now_ms=now_ms)

    def transition(self, rollover: str, *, expected: str, to: str, by: str, reason: str | None, now_ms: int) -> None:
        """Move a rollover by compare-and-set."""
        connection, now = self._writing(), self.state(rollover, now_ms)
        lifecycle.transition(connection, now, expected=expected, to=to, by=by, reason=reason, now_ms=now_ms)

    def waive(self, waiver: Waiver, *, now_ms: int) -> None:
        """Add a waiver."""
        connection = self._writing()
        self._rollover(waiver.rollover)
        lifecycle.waive(connection, waiver, now_ms=now_ms)

    def pin(self, pin: Pin, *, now_ms: int) -> None:
        """Pin a version."""
        lifecycle.pin(self._writing(), self.registry(), pin, now_ms=now_ms)

    def unpin(self, key: str, version: int, *, by: str, reason: str, now_ms: int) -> None:
        """Take all pins off a version."""
        lifecycle.unpin(self._writing(), key, version, by=by, reason=reason, now_ms=now_ms)

    def acknowledge_never_used(self, rollover: str, *, by: str, reason: str, now_ms: int) -> None:
        """Record by name that the old version was never used."""
        connection = self._writing()
        self._rollover(rollover)
        lifecycle.acknowledge(connection, rollover, by=by, reason=reason, now_ms=now_ms)

    # --- what follows from a look

    def put_states(self, states: Mapping[CallerStateKey, CallerState], *, now_ms: int) -> None:
        """Write callers' states for `v_callers.state`."""
        rows = [
            (digest(*caller), caller[0], caller[1], caller[2] or "", caller[3] or "", str(state), now_ms)
            for caller, state in states.items()
        ]
        _STATES.run(self._writing(), sorted(rows))

    def put_incident(self, incident: Incident) -> None:
        """Open, correct or close an incident."""
        put_incident(self._writing(), incident)

    def enqueue(self, message: Message) -> bool:
        """Add to the outbox, once per dedup key."""
        return enqueue(self._writing(), message)

    def put_memo(self, name: str, body: Mapping[str, Json], *, now_ms: int) -> None:
        """Keep a small named document."""
        _MEMOS.run(self._writing(), [(name, canonical_json(body), now_ms)])

    def memo(self, name: str) -> Mapping[str, Json] | None:
        """Return that document."""
        table = records.memos.c
        found = self._connection.execute(select(table.body).where(table.name == name)).scalar_one_or_none()
        return None if found is None else json.loads(found)

    def memos(self, prefix: str) -> Mapping[str, Mapping[str, Json]]:
        """Return the documents whose names begin so."""
        table = records.memos.c
        query = (
            select(table.name, table.body).where(table.name.startswith(prefix, autoescape=True)).order_by(table.name)
        )
        found = self._connection.execute(query)
        return {name: json.loads(body) for name, body in found if name.startswith(prefix)}

    def _writing(self) -> Connection:
        if not self._write:
            raise StoreRefused("this snapshot is for reading: open one with write=True")
        return self._connection


def _evaluation(row: Row[Any]) -> Evaluation:
    return Evaluation(
        rollover=row.rollover,
        evaluated_at_ms=row.evaluated_at_ms,
        verdict=row.verdict,
        body=orjson.loads(row.body),
    )


def _with_zeros(counts: dict[str, RequestCounts], callers: Iterable[CallerRecord]) -> dict[str, RequestCounts]:
    """Return the counts, with a zero written down for each credential that was ever used, only not then."""
    return {each.credential: RequestCounts() for each in callers} | counts


class EvidenceSide:
    """`EvidenceStore` on SQL."""

    _db: Database
    _registry_cache: RegistryCache
    _kept_callers: KeptCallers

    @contextmanager
    def snapshot(self, *, write: bool = False) -> Iterator[Snapshot]:
        """Open one snapshot. Refuses a standby: a replica's lag is invisible to the gate."""
        opened: Any = self._db.in_turn() if write else self._db.reading()
        with opened as connection:
            if not self._db.is_sqlite and connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
                raise StoreRefused("this PostgreSQL is a standby: what it has not received yet cannot be decided on")
            yield SqlSnapshot(connection, self._registry_cache, self._kept_callers, write=write)

    def verify_audit(self) -> Sequence[str]:
        """Recompute the whole hash chain; return a sentence for each fault."""
        with self._db.reading() as connection:
            return faults(connection)
