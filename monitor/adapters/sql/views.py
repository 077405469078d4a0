"""The views that other people's tools read (contract: DESIGN §10): the same columns on both databases."""
# ruff: noqa: S608 - statements are made of names in this file alone

from __future__ import annotations

from collections.abc import Callable

from monitor.adapters.sql.panel_views import panel_view_statements


def _sqlite_seconds(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column} / 1000, 'unixepoch')"


def _sqlite_millis(column: str) -> str:
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000, 'unixepoch')"
    return f"{seconds} || printf('.%03dZ', {column} % 1000)"


def _postgres_seconds(column: str) -> str:
    # The same expression as the BRIN index on usage_points, so that a panel's time range uses it.
    return f"to_timestamp({column} / 1000)"


def _postgres_millis(column: str) -> str:
    return f"to_timestamp({column} / 1000.0)"


INDEX_POSTGRES = "CREATE INDEX ix_usage_points_time ON usage_points USING brin (to_timestamp(bucket_ms / 1000))"


def view_statements(*, sqlite: bool) -> list[str]:
    """Return the statements that create the views."""
    seconds, millis = (_sqlite_seconds, _sqlite_millis) if sqlite else (_postgres_seconds, _postgres_millis)
    contract = [_usage(seconds), _callers(millis), _LEDGER, _rejects(millis), _decisions(millis), _incidents(millis)]
    return contract + panel_view_statements(seconds, millis, sqlite=sqlite)


def _usage(seconds: Callable[[str], str]) -> str:
    return f"""
CREATE VIEW v_usage AS
SELECT {seconds("p.bucket_ms")} AS bucket, s.bucket_seconds AS bucket_seconds, c.key AS key, c.version AS version,
       CASE WHEN s.outcome = 'failure' AND c.cred IS NULL THEN NULL ELSE s.credential END AS credential,
       s.gateway AS gateway, s.region AS region, s.outcome AS outcome, s.reason AS reason, p.requests AS requests
FROM usage_points p
JOIN usage_series s ON s.id = p.series_id
LEFT JOIN credentials c ON c.cred = s.cred
"""


def _callers(millis: Callable[[str], str]) -> str:
    # A caller with several credentials or regions has several rows. Their uses may interleave: then the longest gap of
    # a row is an upper bound; two rows that follow each other have theirs between them.
    return f"""
CREATE VIEW v_callers AS
SELECT g.key AS key, g.version AS version, g.client AS client, g.source AS source,
       {millis("g.first_success_ms")} AS first_success, {millis("g.last_success_ms")} AS last_success,
       {millis("g.last_failure_ms")} AS last_failure, g.successes AS successes, g.failures AS failures,
       g.longest_gap_ms / 1000 AS longest_gap_seconds, s.state AS state
FROM (
  SELECT c.key AS key, c.version AS version, a.client AS client, a.source AS source,
         min(a.first_accepted_ms) AS first_success_ms, max(a.last_accepted_ms) AS last_success_ms,
         max(a.last_rejected_ms) AS last_failure_ms, CAST(sum(a.accepted) AS BIGINT) AS successes,
         CAST(sum(a.rejected) AS BIGINT) AS failures,
         CASE WHEN count(*) = 2
                AND max(a.first_accepted_ms) - min(a.last_accepted_ms) > coalesce(max(a.longest_gap_ms), 0)
              THEN max(a.first_accepted_ms) - min(a.last_accepted_ms)
              ELSE max(a.longest_gap_ms) END AS longest_gap_ms
  FROM credentials c
  JOIN callers a ON a.cred = c.cred
  GROUP BY c.key, c.version, a.client, a.source
) g
LEFT JOIN caller_states s ON s.key = g.key AND s.version = g.version
  AND s.client = coalesce(g.client, '') AND s.source = coalesce(g.source, '')
"""


_LEDGER = """
CREATE VIEW v_ledger AS
SELECT topic, partition, from_offset, to_offset, epoch, records, aggregated, unmapped, rejected FROM ledger
"""


def _rejects(millis: Callable[[str], str]) -> str:
    return f"""
CREATE VIEW v_rejects AS
SELECT {millis("arrival_ms")} AS at, topic, partition, "offset", "index", reason, sha256, sample FROM rejects
"""


def _decisions(millis: Callable[[str], str]) -> str:
    return f"""
CREATE VIEW v_decisions AS
SELECT rollover, {millis("evaluated_at_ms")} AS evaluated_at, verdict AS decision, evidence_hash FROM decisions
"""


def _incidents(millis: Callable[[str], str]) -> str:
    return f"""
CREATE VIEW v_incidents AS
SELECT key, version, {millis("opened_at_ms")} AS opened_at, {millis("closed_at_ms")} AS closed_at, kind, cause, severity
FROM incidents
"""
