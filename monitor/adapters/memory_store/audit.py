"""The evidence ledger in memory: rows chained by their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from monitor.adapters.memory_store.journal import Journal
from monitor.core.chain import GENESIS, canonical_json, chain_hash
from monitor.core.decision import Json
from monitor.ports.lifecycle import AuditEntry


class AuditChain:
    """Append-only. Bodies are copied on the way in, so that no caller can change what was written."""

    def __init__(self, journal: Journal) -> None:
        """Start empty."""
        self._journal = journal
        self.rows: list[AuditEntry] = []
        self._head = (0, GENESIS)
        """The newest row's number and hash, beside the chain: dropped newest rows would leave no trace otherwise."""

    def append(self, kind: str, *, rollover: str | None, body: Mapping[str, Json], at_ms: int) -> AuditEntry:
        """Add a row."""
        last, prev = self._head
        seq = last + 1
        plain: Mapping[str, Json] = json.loads(canonical_json(body))
        entry = AuditEntry(
            seq=seq,
            at_ms=at_ms,
            kind=kind,
            rollover=rollover,
            body=plain,
            prev_hash=prev,
            hash=chain_hash(seq=seq, at_ms=at_ms, kind=kind, rollover=rollover, body=plain, prev=prev),
        )
        self._journal.append(self.rows, entry)
        self._journal.assign(self, "_head", (seq, entry.hash))
        return entry

    def newest(self, *, rollover: str | None, kind: str | None, limit: int) -> list[AuditEntry]:
        """Return the newest rows, newest first."""
        found: list[AuditEntry] = []
        for row in reversed(self.rows):
            if len(found) >= limit:
                break
            if (rollover is None or row.rollover == rollover) and (kind is None or row.kind == kind):
                found.append(row)
        return found

    def faults(self) -> Sequence[str]:
        """Return a sentence for each row that was edited, removed or put in between."""
        found: list[str] = []
        prev = GENESIS
        for number, row in enumerate(self.rows, start=1):
            if row.seq != number or row.prev_hash != prev:
                found.append(f"row {row.seq} does not follow the row before it")
            own = chain_hash(
                seq=row.seq, at_ms=row.at_ms, kind=row.kind, rollover=row.rollover, body=row.body, prev=row.prev_hash
            )
            if own != row.hash:
                found.append(f"row {row.seq} ({row.kind}) is not what was written")
            prev = row.hash
        if self._head != (len(self.rows), prev):
            found.append(f"the ledger ends at row {len(self.rows)}, and row {self._head[0]} was written last")
        return found
