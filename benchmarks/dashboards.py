# ruff: noqa: D103, S608 - a script of one page; its statements are made of its own numbers
"""How long every panel's query takes on a hundred million events' worth of aggregates in a real PostgreSQL.

python benchmarks/dashboards.py [--days 7] [--limit-ms 300]: prints the slowest first; exit code 1 when one is slower.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from monitor.adapters.sql import open_store, upgrade
from monitor.core.instants import DAY_MS
from monitor.core.registry import Gateway, Key, KeyVersion, Registry, Rollover
from monitor.demo.parts.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.integration.dashboards.macros import interpolated  # noqa: E402 - the tests' own retelling of Grafana's macros

KEYS, ROLLOVERS, GATEWAYS, HISTORY_DAYS, MINUTE_DAYS = 500, 20, 4, 100, 7
LOOKS = 5

# Hourly points of every version; and by the minute of those that are being rolled over. In the order of time, as they come.
_FILL = f"""
INSERT INTO usage_series (digest, cred, credential, gateway, region, outcome, reason, bucket_seconds)
SELECT decode(md5(concat_ws('|', c.credential, g, o.outcome, o.seconds)), 'hex'), c.cred, c.credential, 'edge-' || g,
       CASE WHEN g %% 2 = 0 THEN 'eu' ELSE 'us' END, o.outcome, o.reason, o.seconds
FROM credentials c, generate_series(1::bigint, {GATEWAYS}) g,
     (VALUES ('success', 'ok', 3600), ('failure', 'unknown_credential', 3600), ('success', 'ok', 60)) o(outcome, reason, seconds)
WHERE c.version = 1 OR split_part(c.credential, '-', 2)::int <= {ROLLOVERS};
INSERT INTO usage_points (series_id, bucket_ms, requests)
SELECT s.id, (h * 3600000)::bigint, 1 + (s.id * 7 + h) %% 50
FROM generate_series(%(first_hour)s::bigint, %(last_hour)s::bigint) h, usage_series s
WHERE s.bucket_seconds = 3600 AND (s.outcome = 'success' OR (s.id + h) %% 24 = 0);
INSERT INTO usage_points (series_id, bucket_ms, requests)
SELECT s.id, (m * 60000)::bigint, 1 + (s.id + m) %% 3
FROM generate_series(%(last_hour)s::bigint * 60 - {MINUTE_DAYS * 1440}, %(last_hour)s::bigint * 60) m,
     usage_series s JOIN credentials c ON c.cred = s.cred
WHERE s.bucket_seconds = 60 AND split_part(c.credential, '-', 2)::int <= {ROLLOVERS};
INSERT INTO credential_hours (cred, hour_ms, accepted, rejected)
SELECT c.cred, (h * 3600000)::bigint, 100 + h %% 50, h %% 3
FROM generate_series(%(first_hour)s::bigint, %(last_hour)s::bigint) h, credentials c
WHERE c.version = 1 OR split_part(c.credential, '-', 2)::int <= {ROLLOVERS};
INSERT INTO callers (digest, cred, credential, client, source, region, accepted, served, rejected, version_rejected,
                     first_accepted_ms, last_accepted_ms, last_rejected_ms)
SELECT decode(md5(concat_ws('|', c.credential, n)), 'hex'), c.cred, c.credential, 'client-' || n, 'source-' || n %% 5, 'eu',
       1000, 1000, 10, 1, %(last_hour)s::bigint * 3600000 - 8e9, %(last_hour)s::bigint * 3600000 - n * 1000000, NULL
FROM credentials c, generate_series(1::bigint, 30) n;
INSERT INTO caller_states (digest, key, version, client, source, state, at_ms)
SELECT a.digest, c.key, c.version, a.client, a.source, CASE WHEN a.id %% 4 = 0 THEN 'due' ELSE 'migrated' END, 0
FROM callers a JOIN credentials c ON c.cred = a.cred;
INSERT INTO decisions (seq, rollover, evaluated_at_ms, verdict, evidence_hash)
SELECT 1000 + n, 'r-' || 1 + n %% {ROLLOVERS}, %(last_hour)s::bigint * 3600000 - n * 60000, CASE WHEN n %% 7 < 3 THEN 'GO' ELSE 'NO_GO' END, md5(n::text)
FROM generate_series(1::bigint, 100000) n;
INSERT INTO audit (seq, at_ms, kind, rollover, body, prev_hash, hash)
SELECT 1000 + n, %(last_hour)s::bigint * 3600000 - n * 60000, CASE WHEN n %% 10 = 0 THEN 'alert' ELSE 'decision' END, 'r-' || 1 + n %% {ROLLOVERS},
       '{{"alert":{{"kind":"straggler","severity":"warning","rollover":"r-1","text":"somebody is left"}},"notified":true,"reason":"first"}}', '', ''
FROM generate_series(1::bigint, 200000) n;
INSERT INTO evaluations (rollover, evaluated_at_ms, verdict, body)
SELECT 'r-' || r, %(last_hour)s::bigint * 3600000, 'NO_GO', json_build_object(
  'progress', json_build_object('callers', 30, 'callers_cleared', 20, 'requests_moved_share', 0.5),
  'blast_radius', json_build_object('requests_per_day', 40), 'eta', json_build_object('state', 'waiting', 'earliest_go', NULL),
  'blockers', (SELECT json_agg(json_build_object('clause', 'C7', 'summary', 'is not proven', 'state', 'due', 'requests_per_day', n,
     'last_seen', '2026-05-01T00:00:00Z', 'caller', json_build_object('client', 'client-' || n, 'source', 'x'))) FROM generate_series(1::bigint, 500) n))::text
FROM generate_series(1::bigint, {ROLLOVERS}) r;
INSERT INTO incidents (id, key, version, kind, cause, severity, opened_at_ms, closed_at_ms, summary, holds_gate, evidence)
SELECT 'i-' || n, 'key-' || 1 + n %% {KEYS}, 2, 'failed_rollover', 'stale_gateway', 'critical',
       %(last_hour)s::bigint * 3600000 - n * 600000, NULL, '', true, '{{}}' FROM generate_series(1::bigint, 5000) n;
INSERT INTO rejects (arrival_ms, topic, partition, "offset", "index", reason, sha256, sample)
SELECT %(last_hour)s::bigint * 3600000 - n * 6000, 'gw.logs', n %% 8, n, 0, 'not_json', '', 'x' FROM generate_series(1::bigint, 100000) n;
INSERT INTO ledger (topic, partition, generation, from_offset, to_offset, epoch, records, aggregated, unmapped, rejected, backfill, applied_at_ms)
SELECT 'gw.logs', n %% 8, 0, n, n + 1, 1, 1, 1, 0, 0, false, 0 FROM generate_series(1::bigint, 50000) n;
INSERT INTO gateways (digest, gateway, region, first_ms, last_ms, records)
SELECT decode(md5(g::text), 'hex'), 'edge-' || g, 'eu', 0, %(last_hour)s::bigint * 3600000, 1 FROM generate_series(1::bigint, {GATEWAYS}) g
"""


def registry(now_ms: int) -> Registry:
    return Registry(
        keys=tuple(
            Key(key=f"key-{n}", versions=tuple(KeyVersion(version=v, credentials=(f"cred-{n}-{v}",)) for v in (1, 2)))
            for n in range(1, KEYS + 1)
        ),
        gateways=tuple(Gateway(gateway=f"edge-{n}") for n in range(1, GATEWAYS + 1)),
        rollovers=tuple(
            Rollover(id=f"r-{n}", key=f"key-{n}", from_version=1, to_version=2, started_at_ms=now_ms - 5 * DAY_MS)
            for n in range(1, ROLLOVERS + 1)
        ),
    )


def fill(url: str, now: datetime) -> tuple[int, int]:
    upgrade(url)
    store = open_store(url)
    now_ms = int(now.timestamp() * 1000)
    store.import_registry(registry(now_ms), source="keys.yaml", by="bench", now_ms=now_ms)
    store.close()
    last_hour = now_ms // 3_600_000
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in _FILL.split(";\n"):
            # Client-side binding: the statements are built of names and numbers of this file.
            psycopg.ClientCursor(connection).execute(
                statement, {"first_hour": last_hour - 24 * HISTORY_DAYS, "last_hour": last_hour}
            )
        connection.execute("VACUUM ANALYZE")
        (points, events) = connection.execute("SELECT count(*), sum(requests) FROM usage_points").fetchone()
    return int(points), int(events)


def questions() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "dashboards" / "grafana").glob("*.json")):
        dashboard = json.loads(path.read_text("utf-8"))
        for panel in dashboard["panels"]:
            found += [
                (f"{path.stem}: {panel['title']}", each["rawSql"])
                for each in panel.get("targets", [])
                if "rawSql" in each
            ]
        found += [
            (f"{path.stem}: annotation {each['name']}", each["target"]["rawSql"])
            for each in dashboard["annotations"]["list"]
        ]
        found += [
            (f"{path.stem}: variable {each['name']}", each["query"])
            for each in dashboard["templating"]["list"]
            if each["type"] == "query"
        ]
    return found


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=7, help="the time range that is looked at")
    asked.add_argument("--step", default="1h")
    asked.add_argument("--explain", action="store_true", help="show the plans of what is too slow")
    asked.add_argument("--limit-ms", type=float, default=300)
    given = asked.parse_args()
    now = datetime.now(UTC)
    variables: dict[str, str | list[str]] = {
        "rollover": "r-3",
        "key": "key-3",
        "region": ["(all)"],
        "step": given.step,
    }
    with PostgresServer() as server:
        url = server.create_database("bench")
        began = time.monotonic()
        points, events = fill(url, now)
        print(
            f"{events:,} events in {points:,} points, filled in {time.monotonic() - began:.0f} s; range {given.days} d"
        )
        timed = []
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            for name, sql in questions():
                query = interpolated(sql, variables, now - timedelta(days=given.days), now)
                took = []
                for _ in range(LOOKS):
                    began = time.perf_counter()
                    rows = len(connection.execute(query).fetchall())
                    took.append((time.perf_counter() - began) * 1000)
                timed.append((statistics.median(took), max(took), rows, name))
                if given.explain and statistics.median(took) > given.limit_ms:
                    plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query}").fetchall()
                    print(name, *(line for (line,) in plan), sep="\n")
        for median, worst, rows, name in sorted(timed, reverse=True):
            print(f"{median:8.1f} ms  (worst {worst:8.1f})  {rows:6} rows  {name}")
    slow = [name for median, _, _, name in timed if median > given.limit_ms]
    print(f"{len(timed)} queries, {len(slow)} slower than {given.limit_ms:g} ms")
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
