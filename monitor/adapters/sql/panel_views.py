"""Views beside the contract's (`views.py`), for dashboards: rollovers, blockers, alerts, steps, gateways, hours.

The same columns on both databases; what is kept as JSON is taken apart here, so that no panel has to.
"""
# ruff: noqa: S608 - statements are made of names in this file alone

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a database says it: `millis` shows epoch ms; `field` takes a text, number or time out of a JSON column."""

    millis: Callable[[str], str]
    field: Callable[[str, str, str], str]
    now_ms: str
    blockers: str
    blocker: str


def _postgres_field(column: str, path: str, kind: str) -> str:
    steps = path.split(".")
    found = f"{column}::json" + "".join(f" -> '{each}'" for each in steps[:-1]) + f" ->> '{steps[-1]}'"
    return found if kind == "text" else f"({found})::{kind}"


def _sqlite_field(column: str, path: str, kind: str) -> str:
    del kind  # JSON's own types are SQLite's, and a time is text in both
    return f"json_extract({column}, '$.{path}')"


INDEX_HOURS_POSTGRES = (
    "CREATE INDEX ix_credential_hours_time ON credential_hours USING brin (to_timestamp(hour_ms / 1000))"
)


def panel_view_statements(seconds: Callable[[str], str], millis: Callable[[str], str], *, sqlite: bool) -> list[str]:
    """Return the statements that create them."""
    dialect = (
        Dialect(
            millis=millis,
            field=_sqlite_field,
            now_ms="CAST(strftime('%s', 'now') AS INTEGER) * 1000",
            blockers="json_each(e.body, '$.blockers') b",
            blocker="b.value",
        )
        if sqlite
        else Dialect(
            millis=millis,
            field=_postgres_field,
            now_ms="extract(epoch from now()) * 1000",
            blockers="json_array_elements(e.body::json -> 'blockers') AS b(value)",
            blocker="b.value",
        )
    )
    return [
        _rollovers(dialect),
        _blockers(dialect),
        _alerts(dialect),
        _steps(dialect),
        _GATEWAYS.format(first=millis("first_ms"), last=millis("last_ms")),
        _PARTITIONS.format(applied=millis("applied_at_ms"), probed=millis("probed_at_ms")),
        _HOURS.format(hour=seconds("h.hour_ms")),
        _GAPS.format(start=millis("from_ms"), end=millis("to_ms"), recorded=millis("recorded_at_ms")),
    ]


def _rollovers(d: Dialect) -> str:
    def entry(path: str, kind: str = "bigint") -> str:
        return d.field("i.body", path, kind)

    def said(path: str, kind: str) -> str:
        return d.field("e.body", path, kind)

    return f"""
CREATE VIEW v_rollovers AS
SELECT r.rollover AS rollover, r.key AS key, r.from_version AS from_version, r.to_version AS to_version,
       coalesce(s.state, CASE WHEN r.started_at_ms > {d.now_ms} THEN 'planned' ELSE 'overlap' END) AS state,
       {d.millis("r.started_at_ms")} AS started_at, {d.millis("r.deadline_ms")} AS deadline,
       {d.millis("CASE WHEN s.state = 'rolled_back' THEN NULL ELSE coalesce(s.retired_at_ms, r.retired_at_ms) END")}
         AS retired_at,
       e.verdict AS decision, {d.millis("e.evaluated_at_ms")} AS evaluated_at,
       {said("progress.callers", "integer")} AS callers,
       {said("progress.callers_cleared", "integer")} AS callers_cleared,
       {said("progress.requests_moved_share", "double precision")} AS requests_moved_share,
       {said("blast_radius.requests_per_day", "double precision")} AS requests_per_day_left,
       {said("eta.state", "text")} AS eta, {said("eta.earliest_go", "timestamptz")} AS earliest_go,
       {said("eta.limited_by", "text")} AS limited_by
FROM (
  SELECT i.id AS rollover, {entry("key", "text")} AS key, {entry("from_version", "integer")} AS from_version,
         {entry("to_version", "integer")} AS to_version, {entry("started_at_ms")} AS started_at_ms,
         {entry("deadline_ms")} AS deadline_ms, {entry("retired_at_ms")} AS retired_at_ms
  FROM registry_items i WHERE i.kind = 'rollover'
) r
LEFT JOIN rollover_states s ON s.rollover = r.rollover
LEFT JOIN evaluations e ON e.rollover = r.rollover
"""


def _blockers(d: Dialect) -> str:
    def said(path: str, kind: str = "text") -> str:
        return d.field(d.blocker, path, kind)

    return f"""
CREATE VIEW v_blockers AS
SELECT e.rollover AS rollover, {said("clause")} AS clause, {said("summary")} AS summary,
       {said("caller.client")} AS client, {said("caller.source")} AS source, {said("state")} AS state,
       {said("last_seen", "timestamptz")} AS last_seen, {said("next_expected", "timestamptz")} AS next_expected,
       {said("requests_per_day", "double precision")} AS requests_per_day,
       {said("what_would_clear_it")} AS what_would_clear_it
FROM evaluations e, {d.blockers}
"""


def _alerts(d: Dialect) -> str:
    def told(path: str) -> str:
        return d.field("a.body", path, "text")

    return f"""
CREATE VIEW v_alerts AS
SELECT {d.millis("a.at_ms")} AS at, {told("alert.kind")} AS kind, {told("alert.severity")} AS severity,
       {told("alert.rollover")} AS rollover, {told("alert.key")} AS key, {told("alert.cause")} AS cause,
       {told("alert.episode")} AS episode, {told("alert.text")} AS text,
       CASE WHEN {d.field("a.body", "notified", "boolean")} THEN 'yes' ELSE 'no' END AS told, {told("reason")} AS reason
FROM audit a WHERE a.kind = 'alert'
"""


def _steps(d: Dialect) -> str:
    def body(path: str) -> str:
        return d.field("a.body", path, "text")

    return f"""
CREATE VIEW v_steps AS
SELECT a.rollover AS rollover, {d.millis("a.at_ms")} AS at, {body("from")} AS from_state, {body("to")} AS to_state,
       {body("by")} AS by, {body("reason")} AS reason
FROM audit a WHERE a.kind = 'transition'
"""


_GATEWAYS = """
CREATE VIEW v_gateways AS
SELECT gateway, region, {first} AS first_seen, {last} AS last_seen, records FROM gateways
"""

_PARTITIONS = """
CREATE VIEW v_partitions AS
SELECT topic, partition, next_offset, end_offset,
       CASE WHEN end_offset > next_offset THEN end_offset - next_offset WHEN end_offset IS NOT NULL THEN 0 END AS lag,
       {applied} AS applied_at, {probed} AS probed_at, worker, stopped
FROM partitions
"""

# Far fewer rows than v_usage: what a week of all keys, or of one that is counted by the minute, is drawn from.
_HOURS = """
CREATE VIEW v_hours AS
SELECT {hour} AS hour, c.key AS key, c.version AS version, h.accepted AS accepted, h.rejected AS rejected
FROM credential_hours h JOIN credentials c ON c.cred = h.cred
"""

_GAPS = """
CREATE VIEW v_gaps AS
SELECT topic, partition, {start} AS from_time, {end} AS to_time, {recorded} AS recorded_at, reason FROM gaps
"""
