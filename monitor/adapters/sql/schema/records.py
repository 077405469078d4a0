"""What people decide, and what was found, decided and told."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, UniqueConstraint

from monitor.adapters.sql.schema.columns import digest_of_key, epoch_ms, key, metadata, row_id, text

# --- what people decide

meta = Table("meta", metadata, text("name", key=True), text("value"))
"""Single values: the registry's revision, the head of the hash chain, how far detail was dropped."""

registry_items = Table(
    "registry_items",
    metadata,
    text("kind", key=True),
    text("id", key=True),
    text("source"),
    Column("place", Integer, nullable=False),
    text("body"),
)
"""One JSON document an entry, in the order in which its file had them (`place`)."""

credentials = Table(
    "credentials",
    metadata,
    Column("cred", LargeBinary, primary_key=True),
    text("credential"),
    text("key"),
    Column("version", Integer, nullable=False),
)
"""Which key version a credential belongs to: derived from `registry_items`, for joins."""
Index(None, credentials.c.key)

registry_changes = Table(
    "registry_changes",
    metadata,
    row_id(),
    text("key"),
    text("rollover", null=True),
    epoch_ms("at_ms"),
    text("what"),
)
Index(None, registry_changes.c.key)

rollover_states = Table(
    "rollover_states",
    metadata,
    text("rollover", key=True),
    text("state"),
    epoch_ms("since_ms"),
    text("by", null=True),
    text("reason", null=True),
    epoch_ms("retired_at_ms", null=True),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    text("rollover", key=True),
    text("by"),
    text("reason"),
    epoch_ms("at_ms"),
)

tokens = Table(
    "tokens",
    metadata,
    row_id(),
    text("name"),
    text("scope"),
    text("sha256"),
    epoch_ms("created_at_ms"),
    epoch_ms("revoked_at_ms", null=True),
    UniqueConstraint("sha256"),
)

# --- what was found, decided and told

audit = Table(
    "audit",
    metadata,
    key("seq"),
    epoch_ms("at_ms"),
    text("kind"),
    text("rollover", null=True),
    text("body"),
    text("prev_hash"),
    text("hash"),
)
Index(None, audit.c.rollover, audit.c.seq)

decisions = Table(
    "decisions",
    metadata,
    key("seq"),
    text("rollover"),
    epoch_ms("evaluated_at_ms"),
    text("verdict"),
    text("evidence_hash"),
)
Index(None, decisions.c.rollover, decisions.c.evaluated_at_ms)

evaluations = Table(
    "evaluations", metadata, text("rollover", key=True), epoch_ms("evaluated_at_ms"), text("verdict"), text("body")
)

caller_states = Table(
    "caller_states",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    text("key"),
    Column("version", Integer, nullable=False),
    text("client"),
    text("source"),
    text("state"),
    epoch_ms("at_ms"),
)
"""By the digest of (key, version, client, source); absent texts are empty here, for the join in `v_callers`."""
Index(None, caller_states.c.key, caller_states.c.version)

incidents = Table(
    "incidents",
    metadata,
    text("id", key=True),
    text("key"),
    Column("version", Integer, nullable=False),
    text("rollover", null=True),
    text("kind"),
    text("cause"),
    text("severity"),
    epoch_ms("opened_at_ms"),
    epoch_ms("closed_at_ms", null=True),
    text("summary"),
    Column("holds_gate", Boolean, nullable=False),
    text("evidence"),
)
Index(None, incidents.c.key)

outbox = Table(
    "outbox",
    metadata,
    row_id(),
    digest_of_key(),
    text("dedup_key"),
    text("channel"),
    text("order_key"),
    text("reason"),
    text("body"),
    epoch_ms("created_at_ms"),
    text("state"),
    epoch_ms("due_at_ms"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    text("error", null=True),
    UniqueConstraint("digest"),
)
Index(
    "ix_outbox_waiting",
    outbox.c.channel,
    outbox.c.order_key,
    outbox.c.id,
    sqlite_where=outbox.c.state == "waiting",
    postgresql_where=outbox.c.state == "waiting",
)

notifications = Table(
    "notifications",
    metadata,
    row_id(),
    epoch_ms("sent_at_ms"),
    text("dedup_key"),
    text("channel"),
    text("order_key"),
    text("reason"),
    text("receipt"),
)

memos = Table("memos", metadata, text("name", key=True), text("body"), epoch_ms("at_ms"))

model_runs = Table(
    "model_runs",
    metadata,
    row_id(),
    epoch_ms("trained_at_ms"),
    text("kind"),
    text("body"),
    Column("artifact", LargeBinary),
)

leaders = Table("leaders", metadata, text("name", key=True), text("holder"), epoch_ms("until_ms"))
"""SQLite only: a lease. On PostgreSQL an advisory lock says who leads."""

turns = Table("turns", metadata, key("id"))
"""Always empty: locking it is a write snapshot's turn on PostgreSQL."""
