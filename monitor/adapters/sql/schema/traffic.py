"""What flushes write: every column merges by sum, min, max or bitwise or. And where reading stands."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from monitor.adapters.sql.schema.columns import ROOMY, count, digest_of_key, epoch_ms, key, metadata, row_id, text

# --- what flushes write: every column merges by sum, min, max or bitwise or

usage_series = Table(
    "usage_series",
    metadata,
    row_id(),
    digest_of_key(),
    Column("cred", LargeBinary, nullable=True),
    text("credential", null=True),
    text("gateway"),
    text("region", null=True),
    text("outcome"),
    text("reason"),
    Column("bucket_seconds", Integer, nullable=False),
    UniqueConstraint("digest"),
)
Index(None, usage_series.c.cred)

usage_points = Table(
    "usage_points",
    metadata,
    key("series_id"),
    key("bucket_ms"),
    count("requests"),
    sqlite_with_rowid=False,
    postgresql_with=ROOMY,
)

credential_hours = Table(
    "credential_hours",
    metadata,
    Column("cred", LargeBinary, primary_key=True),
    key("hour_ms"),
    count("accepted"),
    count("rejected"),
    sqlite_with_rowid=False,
    postgresql_with=ROOMY,
)
"""Per credential and hour, beside the time series: what the gate reads of it in one look (rates, baselines)."""

callers = Table(
    "callers",
    metadata,
    row_id(),
    digest_of_key(),
    digest_of_key("cred"),
    text("credential"),
    text("client", null=True),
    text("source", null=True),
    text("region", null=True),
    *[count(name) for name in ("accepted", "served", "rejected", "version_rejected")],
    *[
        epoch_ms(name, null=True)
        for name in (
            "first_accepted_ms",
            "last_accepted_ms",
            "first_served_ms",
            "last_served_ms",
            "first_rejected_ms",
            "last_rejected_ms",
            "last_version_rejected_ms",
            "last_arrival_ms",
            "last_suspect_ms",
        )
    ],
    epoch_ms("longest_gap_ms", null=True),
    Column("gap_stale", SmallInteger, nullable=False, server_default="0"),
    UniqueConstraint("digest"),
    postgresql_with=ROOMY,
)
"""`longest_gap_ms` is for people (`v_callers`); use that arrives hours late sets `gap_stale`: upkeep recomputes it."""
Index(None, callers.c.cred)

caller_days = Table(
    "caller_days",
    metadata,
    key("caller_id"),
    key("day", Integer),
    epoch_ms("first_ms"),
    epoch_ms("last_ms"),
    count("uses"),
    count("slots"),
    sqlite_with_rowid=False,
    postgresql_with=ROOMY,
)
"""Recent days, one row each. Upkeep folds older ones into `caller_history`; readers take the union of both."""
Index(None, caller_days.c.day)

caller_history = Table(
    "caller_history",
    metadata,
    key("caller_id"),
    Column("days", LargeBinary, nullable=False),
)
"""A caller's older days, packed as `Activity.cells` (40 bytes a day): one row is read where there were a hundred."""

caller_folds = Table(
    "caller_folds",
    metadata,
    key("caller_id"),
    Column("packed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""What `caller_history` says of a caller's rhythm (`Folded.packed`): made by upkeep, believed while it holds."""

accepted_credentials = Table(
    "accepted_credentials", metadata, Column("cred", LargeBinary, primary_key=True), sqlite_with_rowid=False
)
"""Every credential that ever succeeded: those without a place in the registry hold the gate (C5)."""

caller_gateways = Table(
    "caller_gateways",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    digest_of_key("cred"),
    text("credential"),
    text("client", null=True),
    text("source", null=True),
    text("gateway"),
    text("region", null=True),
    epoch_ms("first_ms"),
    epoch_ms("last_ms"),
    count("count"),
    postgresql_with=ROOMY,
)

failure_series = Table(
    "failure_series",
    metadata,
    row_id(),
    digest_of_key(),
    digest_of_key("cred"),
    text("credential"),
    text("client", null=True),
    text("source", null=True),
    text("gateway"),
    text("region", null=True),
    text("route", null=True),
    text("method", null=True),
    text("reason"),
    epoch_ms("last_minute_ms"),
    UniqueConstraint("digest"),
)
Index(None, failure_series.c.cred)

failure_points = Table(
    "failure_points",
    metadata,
    key("minute_ms"),
    key("series_id"),
    count("requests"),
    sqlite_with_rowid=False,
    postgresql_with=ROOMY,
)

gateways = Table(
    "gateways",
    metadata,
    row_id(),
    digest_of_key(),
    text("gateway"),
    text("region", null=True),
    epoch_ms("first_ms"),
    epoch_ms("last_ms"),
    count("records"),
    UniqueConstraint("digest"),
)

gateway_hours = Table(
    "gateway_hours",
    metadata,
    key("gateway_id"),
    key("hour_ms"),
    epoch_ms("first_ms"),
    epoch_ms("last_ms"),
    count("records"),
    Column("minutes", LargeBinary, nullable=True),
)
"""Liveness: exact first and last record of each hour, and of each minute in it (`liveness.py`) while that is kept.

Upkeep joins older hours into stretches without a silence of an hour: `last_ms` may then lie many hours on.
"""

sampled_hours = Table(
    "sampled_hours",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    text("gateway"),
    text("region", null=True),
    epoch_ms("hour_ms"),
    epoch_ms("first_ms"),
    epoch_ms("last_ms"),
    count("count"),
)

# --- where reading stands

partitions = Table(
    "partitions",
    metadata,
    text("topic", key=True),
    key("partition", Integer),
    count("epoch"),
    count("generation"),
    epoch_ms("next_offset", null=True),
    text("identity", null=True),
    epoch_ms("tail_offset", null=True),
    epoch_ms("tail_timestamp_ms", null=True),
    text("tail_sha256", null=True),
    text("stopped", null=True),
    text("worker", null=True),
    epoch_ms("claimed_at_ms", null=True),
    epoch_ms("applied_at_ms", null=True),
    epoch_ms("end_offset", null=True),
    epoch_ms("probed_at_ms", null=True),
    epoch_ms("complete_through_ms", null=True),
    Column("pending_probes", Text, nullable=False, server_default="[]"),
)
"""`generation` rises where reading starts anew (a gap, a recreated topic): the ledger tiles within one generation.

`pending_probes` are `[end_offset, probed_at_ms]` that applied offsets have not reached yet.
"""

topics = Table("topics", metadata, text("topic", key=True), Column("partitions", Integer), epoch_ms("asked_at_ms"))

ledger = Table(
    "ledger",
    metadata,
    text("topic", key=True),
    key("partition", Integer),
    key("generation"),
    key("from_offset"),
    epoch_ms("to_offset"),
    count("epoch"),
    count("records"),
    count("aggregated"),
    count("unmapped"),
    count("rejected"),
    Column("backfill", Boolean, nullable=False),
    epoch_ms("applied_at_ms"),
)

gaps = Table(
    "gaps",
    metadata,
    row_id(),
    text("topic"),
    Column("partition", Integer, nullable=False),
    epoch_ms("from_ms", null=True),
    epoch_ms("to_ms", null=True),
    epoch_ms("recorded_at_ms"),
    text("reason"),
)

rejects = Table(
    "rejects",
    metadata,
    row_id(),
    epoch_ms("arrival_ms"),
    text("topic"),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("index", Integer, nullable=False),
    text("reason"),
    text("sha256"),
    text("sample"),
)
Index(None, rejects.c.arrival_ms)

reject_hours = Table(
    "reject_hours",
    metadata,
    key("hour_ms"),
    text("reason", key=True),
    epoch_ms("last_ms"),
    count("count"),
)
