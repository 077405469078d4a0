"""The seams: what the daemon needs of the world, as protocols. Adapters implement them; `app.py` alone joins them.

Each port has one behaviour suite in `tests/contract/`, run on every implementation (the in-memory twin included).
"""

from typing import Protocol

from monitor.core.events import Reject
from monitor.ports.evidence_store import CallerStateKey, EvidenceStore, Snapshot
from monitor.ports.ingest_store import Applied, Claim, IngestStore, Probe
from monitor.ports.lifecycle import (
    AuditEntry,
    Evaluation,
    ImportReport,
    RegistryStore,
    RolloverState,
    Scope,
    Token,
    TokenStore,
)
from monitor.ports.outbox import DeadMessage, Incident, Message, ModelRun, Notification, OutboxStore, QueuedMessage
from monitor.ports.reading import (
    CallerRow,
    LedgerRow,
    Propagation,
    ReadStore,
    RejectRow,
    Retention,
    UpkeepStore,
    UsagePoint,
)
from monitor.ports.sources import (
    Bounds,
    Identity,
    Partition,
    PartitionsAssigned,
    PartitionsRevoked,
    PositionLost,
    RecordBatch,
    RecordSource,
    SourceEvent,
    Tail,
)


class Store(IngestStore, EvidenceStore, RegistryStore, TokenStore, OutboxStore, ReadStore, UpkeepStore, Protocol):
    """All sides of the store in one object, as `monitor.adapters.sql.open_store` and `MemoryStore` give it."""


__all__ = [
    "Applied",
    "AuditEntry",
    "Bounds",
    "CallerRow",
    "CallerStateKey",
    "Claim",
    "DeadMessage",
    "Evaluation",
    "EvidenceStore",
    "Identity",
    "ImportReport",
    "Incident",
    "IngestStore",
    "LedgerRow",
    "Message",
    "ModelRun",
    "Notification",
    "OutboxStore",
    "Partition",
    "PartitionsAssigned",
    "PartitionsRevoked",
    "PositionLost",
    "Probe",
    "Propagation",
    "QueuedMessage",
    "ReadStore",
    "RecordBatch",
    "RecordSource",
    "RegistryStore",
    "Reject",
    "RejectRow",
    "Retention",
    "RolloverState",
    "Scope",
    "Snapshot",
    "SourceEvent",
    "Store",
    "Tail",
    "Token",
    "TokenStore",
    "UpkeepStore",
    "UsagePoint",
]
