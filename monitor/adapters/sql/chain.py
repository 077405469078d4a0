"""The evidence ledger: rows chained by SHA-256, so that no row can be edited, dropped or added unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, desc, insert, select

from monitor.adapters.sql.metadata import get_meta, put_meta
from monitor.adapters.sql.schema import records
from monitor.core.chain import GENESIS, canonical_json, chain_hash
from monitor.core.decision import Json
from monitor.ports import AuditEntry

_HEAD = "audit_head"
"""The newest row's number and hash, beside the chain: without it, dropped newest rows would leave no trace."""


def append_audit(
    connection: Connection, *, kind: str, rollover: str | None, at_ms: int, body: Mapping[str, Json]
) -> AuditEntry:
    """Append a row. The transaction must be a write snapshot's: those stand in line."""
    head = get_meta(connection, _HEAD)
    seq_text, prev_hash = head.split(":") if head else ("0", GENESIS)
    seq = int(seq_text) + 1
    text = canonical_json(body)
    plain = json.loads(text)
    made = chain_hash(seq=seq, at_ms=at_ms, kind=kind, rollover=rollover, body=plain, prev=prev_hash)
    connection.execute(
        insert(records.audit).values(
            seq=seq, at_ms=at_ms, kind=kind, rollover=rollover, body=text, prev_hash=prev_hash, hash=made
        )
    )
    put_meta(connection, _HEAD, f"{seq}:{made}")
    return AuditEntry(seq=seq, at_ms=at_ms, kind=kind, rollover=rollover, body=plain, prev_hash=prev_hash, hash=made)


def audit_entry(row: Row[Any]) -> AuditEntry:
    """Return a stored row."""
    return AuditEntry(
        seq=row.seq,
        at_ms=row.at_ms,
        kind=row.kind,
        rollover=row.rollover,
        body=json.loads(row.body),
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def newest_entries(
    connection: Connection, *, rollover: str | None, kind: str | None, limit: int
) -> Sequence[AuditEntry]:
    """Return rows of the ledger, newest first."""
    table = records.audit.c
    query = select(records.audit).order_by(desc(table.seq)).limit(limit)
    if rollover is not None:
        query = query.where(table.rollover == rollover)
    if kind is not None:
        query = query.where(table.kind == kind)
    return [audit_entry(row) for row in connection.execute(query)]


def faults(connection: Connection) -> list[str]:
    """Recompute the whole chain; return a sentence for each fault."""
    found: list[str] = []
    prev_hash, seq = GENESIS, 0
    decided: dict[int, tuple[str, str, str]] = {}
    query = select(records.audit).order_by(records.audit.c.seq)
    for row in connection.execution_options(yield_per=1000).execute(query):
        found.extend(_row_faults(row, seq, prev_hash, decided))
        prev_hash, seq = row.hash, row.seq
    if (get_meta(connection, _HEAD) or f"0:{GENESIS}") != f"{seq}:{prev_hash}":
        found.append(f"the ledger ends at row {seq}, which is not the one that was written last")
    stored = connection.execute(select(records.decisions).order_by(records.decisions.c.seq))
    found.extend(
        f"the decision of row {row.seq} differs from its row in the ledger"
        for row in stored
        if decided.pop(row.seq, None) != (row.rollover, row.verdict, row.evidence_hash)
    )
    found.extend(f"the decision of row {each} is missing" for each in decided)
    return found


def _row_faults(row: Row[Any], seq: int, prev_hash: str, decided: dict[int, tuple[str, str, str]]) -> Iterator[str]:
    if row.seq != seq + 1:
        yield f"rows {seq + 1} to {row.seq - 1} of the ledger are missing"
    if row.prev_hash != prev_hash:
        yield f"row {row.seq} does not follow from the row before it"
    try:
        body = json.loads(row.body)
    except ValueError:
        yield f"row {row.seq} was edited: its body is not JSON"
        return
    own = chain_hash(seq=row.seq, at_ms=row.at_ms, kind=row.kind, rollover=row.rollover, body=body, prev=row.prev_hash)
    if own != row.hash:
        yield f"row {row.seq} ({row.kind}) was edited: its hash is not that of its content"
    if row.kind == "decision":
        decided[row.seq] = (str(row.rollover), str(body.get("decision")), str(body.get("evidence_hash")))
