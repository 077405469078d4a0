"""The whole store in memory, behind one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from monitor.adapters.memory_store.contents import Contents
from monitor.adapters.memory_store.reading import ReadingSide
from monitor.adapters.memory_store.snapshot import MemorySnapshot
from monitor.adapters.memory_store.upkeep import prune
from monitor.core.decision import Json
from monitor.core.events import Reject
from monitor.core.evidence import CoverageGap
from monitor.core.registry import Key, Registry
from monitor.core.windows import Aggregate
from monitor.errors import Conflict, NotFound, StoreAway
from monitor.ports.ingest_store import Applied, Claim, Probe
from monitor.ports.lifecycle import ImportReport, Scope, Token
from monitor.ports.outbox import DeadMessage, ModelRun, Notification, QueuedMessage
from monitor.ports.reading import RejectRow, Retention
from monitor.ports.sources import Partition

T = TypeVar("T")
_API = "api"


class MemoryStore(ReadingSide):
    """Every port of the store (`monitor.ports.Store`), with the same promises as the one on SQL, but for durability.

    One lock: a snapshot holds it, so nothing moves while one is open, and a flush of another thread waits.
    """

    def __init__(self, *, series: bool = True) -> None:
        """Start empty. `series=False` keeps only what the gate reads (a replay of millions of events)."""
        self._contents = Contents(series=series)
        self._series = series
        self._lock = threading.RLock()
        self.away: str | None = None
        """Set by tests: why the store cannot be reached; every call then raises `StoreAway`."""

    @contextmanager
    def _open(self) -> Iterator[Contents]:
        """Hold the lock; what is done in here stands, or is taken back when it fails."""
        if self.away is not None:
            raise StoreAway(self.away)
        with self._lock, self._contents.journal.step():
            yield self._contents

    # --- ingest

    def claim(self, partition: Partition, *, worker: str, now_ms: int) -> Claim:  # noqa: ARG002 - the port
        """Take the partition."""
        with self._open() as contents:
            return contents.partitions.claim(partition)

    def begin(
        self,
        claim: Claim,
        *,
        offset: int,
        identity: str,
        now_ms: int,  # noqa: ARG002 - the port
        gap: CoverageGap | None = None,
    ) -> None:
        """Set where a claimed partition is read from."""
        with self._open() as contents:
            contents.partitions.begin(claim, offset=offset, identity=identity, gap=gap)

    def apply(self, applied: Applied) -> None:
        """Add one flush, by compare-and-set."""
        with self._open() as contents:
            contents.partitions.advance(applied)
            self._add(contents, applied.aggregate, applied.rejects, applied.partition)

    def add(self, aggregate: Aggregate, rejects: Sequence[Reject] = (), *, partition: Partition) -> None:
        """Add counts without a ledger: for a replay, which has no offsets. The aggregate is not kept, only its sums."""
        with self._open() as contents:
            self._add(contents, aggregate, rejects, partition)

    def _add(self, contents: Contents, aggregate: Aggregate, rejects: Sequence[Reject], partition: Partition) -> None:
        contents.counts.add(aggregate)
        contents.counts.reject(rejects)
        if not self._series:
            return
        contents.rejects.extend(
            RejectRow(
                at_ms=each.arrival_ms,
                partition=partition,
                offset=each.offset,
                index=each.index,
                reason=each.reason.value,
                sha256=each.sha256,
                sample=each.sample,
            )
            for each in rejects
        )

    def probed(self, probes: Sequence[Probe], expected: Mapping[str, int | None]) -> None:
        """Record end offsets and partition counts."""
        with self._open() as contents:
            contents.partitions.probed(probes, expected)

    def stop_line(self, claim: Claim, *, reason: str, now_ms: int) -> None:
        """Make the partition stand still."""
        with self._open() as contents:
            contents.partitions.stop(claim, reason)
            contents.audit.append("line_stopped", rollover=None, body=_line(claim.partition, reason), at_ms=now_ms)

    def resume_line(self, partition: Partition, *, reason: str, by: str, now_ms: int) -> None:
        """Let a stopped partition go on."""
        with self._open() as contents:
            contents.partitions.resume(partition)
            body = {**_line(partition, reason), "by": by}
            contents.audit.append("line_resumed", rollover=None, body=body, at_ms=now_ms)

    def forget_topic(self, topic: str, *, reason: str, by: str, now_ms: int) -> int:
        """Wait for a topic no longer."""
        with self._open() as contents:
            gaps = contents.partitions.forget(topic, reason=reason, now_ms=now_ms)
            body: dict[str, Json] = {"topic": topic, "reason": reason, "by": by, "gaps": gaps}
            contents.audit.append("topic_forgotten", rollover=None, body=body, at_ms=now_ms)
            return gaps

    # --- evidence

    @contextmanager
    def snapshot(self, *, write: bool = False) -> Iterator[MemorySnapshot]:
        """Open a snapshot."""
        with self._open() as contents:
            yield MemorySnapshot(contents, write=write)

    def verify_audit(self) -> Sequence[str]:
        """Recompute the hash chain."""
        with self._open() as contents:
            return contents.audit.faults()

    # --- registry

    def registry(self) -> tuple[int, Registry]:
        """Return the registry and its revision."""
        with self._open() as contents:
            return contents.registered.revision, contents.registered.registry()

    def import_registry(self, registry: Registry, *, source: str, by: str, now_ms: int) -> ImportReport:
        """Make everything of this source be as given."""
        return self._import(
            lambda held: held.registered.import_all(registry, source=source, now_ms=now_ms),
            {"source": source, "by": by},
            now_ms,
        )

    def put_key(self, key: Key, *, by: str, now_ms: int) -> ImportReport:
        """Add or replace one key."""
        given = Registry(keys=(key,))
        return self._import(
            lambda held: held.registered.put(given, source=_API, now_ms=now_ms), {"source": _API, "by": by}, now_ms
        )

    def _import(
        self, become: Callable[[Contents], ImportReport], told: Mapping[str, Json], now_ms: int
    ) -> ImportReport:
        with self._open() as contents:
            report = become(contents)
            if report.changed:
                body: dict[str, Json] = {
                    **told,
                    "revision": report.revision,
                    "added": list(report.added),
                    "updated": list(report.updated),
                    "removed": list(report.removed),
                    "changes": [each.what for changes in report.changes.values() for each in changes],
                }
                contents.audit.append("registry_import", rollover=None, body=body, at_ms=now_ms)
            return report

    # --- tokens

    def create_token(self, name: str, *, scope: Scope, sha256: str, now_ms: int) -> Token:
        """Store a token."""
        with self._open() as contents:
            if any(each.name == name and each.revoked_at_ms is None for each in contents.tokens):
                raise Conflict(f"there is a live token {name!a} already")
            token = Token(name=name, scope=scope, sha256=sha256, created_at_ms=now_ms)
            contents.journal.append(contents.tokens, token)
            body: dict[str, Json] = {"name": name, "scope": scope.value}
            contents.audit.append("token_created", rollover=None, body=body, at_ms=now_ms)
            return token

    def tokens(self) -> Sequence[Token]:
        """Return all tokens by name."""
        with self._open() as contents:
            return sorted(contents.tokens, key=lambda each: (each.name, each.created_at_ms))

    def revoke_token(self, name: str, *, now_ms: int) -> None:
        """Revoke the live token of that name."""
        with self._open() as contents:
            for index, token in enumerate(contents.tokens):
                if token.name == name and token.revoked_at_ms is None:
                    contents.tokens[index] = replace(token, revoked_at_ms=now_ms)
                    contents.audit.append("token_revoked", rollover=None, body={"name": name}, at_ms=now_ms)
                    return
        raise NotFound(f"there is no live token {name!a}")

    def token(self, sha256: str) -> Token | None:
        """Return the live token with that hash."""
        with self._open() as contents:
            return next(
                (each for each in contents.tokens if each.sha256 == sha256 and each.revoked_at_ms is None), None
            )

    # --- outbox

    def take_messages(
        self, *, limit: int, lease_ms: int, now_ms: int, channel: str | None = None
    ) -> Sequence[QueuedMessage]:
        """Lease due messages."""
        with self._open() as contents:
            return contents.mail.take(limit=limit, lease_ms=lease_ms, now_ms=now_ms, channel=channel)

    def message_sent(self, message_id: int, *, receipt: str, now_ms: int) -> None:
        """Mark a message as done."""
        with self._open() as contents:
            contents.mail.done(message_id, receipt=receipt, now_ms=now_ms)

    def message_failed(self, message_id: int, *, retry_at_ms: int | None, error: str, now_ms: int) -> None:  # noqa: ARG002 - the port
        """Make it due again, or give it up."""
        with self._open() as contents:
            contents.mail.failed(message_id, retry_at_ms=retry_at_ms, error=error)

    def notifications(self, *, limit: int = 100) -> Sequence[Notification]:
        """Return what was sent, newest first."""
        with self._open() as contents:
            return contents.mail.sent[: -limit - 1 : -1]

    def dead_messages(self, *, limit: int = 100) -> Sequence[DeadMessage]:
        """Return what was given up, newest first."""
        with self._open() as contents:
            return [contents.mail.dead[each] for each in sorted(contents.mail.dead, reverse=True)[:limit]]

    def outbox_size(self) -> int:
        """Return how many messages wait."""
        with self._open() as contents:
            return contents.mail.waiting

    def put_model_run(self, run: ModelRun) -> None:
        """Keep a training."""
        with self._open() as contents:
            contents.mail.keep(run)

    def latest_model_run(self, kind: str) -> ModelRun | None:
        """Return the newest training."""
        with self._open() as contents:
            return contents.mail.latest(kind)

    # --- upkeep

    def prune(self, retention: Retention, *, now_ms: int) -> dict[str, int]:
        """Fold and drop what is too old."""
        with self._open() as contents:
            return prune(contents, retention, now_ms)

    def ping(self) -> None:
        """Answer."""
        with self._open():
            pass

    def lead(self, name: str) -> bool:  # noqa: ARG002 - the port
        """Lead: there is no other process."""
        with self._open():
            return True

    def close(self) -> None:
        """Give nothing back: what is held goes with the process."""


def _line(partition: Partition, reason: str) -> dict[str, Json]:
    return {"topic": partition.topic, "partition": partition.partition, "reason": reason}
