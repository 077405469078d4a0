CREATE TABLE accepted_credentials (
  cred BYTEA NOT NULL,
  PRIMARY KEY (cred)
);

CREATE TABLE acknowledgements (
  rollover TEXT NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (rollover)
);

CREATE TABLE audit (
  seq BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  kind TEXT NOT NULL,
  rollover TEXT,
  body TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (seq)
);

CREATE INDEX ix_audit_rollover_seq ON audit (rollover, seq);

CREATE TABLE caller_days (
  caller_id BIGINT NOT NULL,
  day INTEGER NOT NULL,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  uses BIGINT DEFAULT '0' NOT NULL,
  slots BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (caller_id, day)
)
 WITH (fillfactor = 70);

CREATE INDEX ix_caller_days_day ON caller_days (day);

CREATE TABLE caller_gateways (
  digest BYTEA NOT NULL,
  cred BYTEA NOT NULL,
  credential TEXT NOT NULL,
  client TEXT,
  source TEXT,
  gateway TEXT NOT NULL,
  region TEXT,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  count BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (digest)
)
 WITH (fillfactor = 70);

CREATE TABLE caller_history (
  caller_id BIGINT NOT NULL,
  days BYTEA NOT NULL,
  PRIMARY KEY (caller_id)
);

CREATE TABLE caller_states (
  digest BYTEA NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  client TEXT NOT NULL,
  source TEXT NOT NULL,
  state TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (digest)
);

CREATE INDEX ix_caller_states_key_version ON caller_states (key, version);

CREATE TABLE callers (
  id BIGSERIAL NOT NULL,
  digest BYTEA NOT NULL,
  cred BYTEA NOT NULL,
  credential TEXT NOT NULL,
  client TEXT,
  source TEXT,
  region TEXT,
  accepted BIGINT DEFAULT '0' NOT NULL,
  served BIGINT DEFAULT '0' NOT NULL,
  rejected BIGINT DEFAULT '0' NOT NULL,
  version_rejected BIGINT DEFAULT '0' NOT NULL,
  first_accepted_ms BIGINT,
  last_accepted_ms BIGINT,
  first_served_ms BIGINT,
  last_served_ms BIGINT,
  first_rejected_ms BIGINT,
  last_rejected_ms BIGINT,
  last_version_rejected_ms BIGINT,
  last_arrival_ms BIGINT,
  last_suspect_ms BIGINT,
  longest_gap_ms BIGINT,
  gap_stale SMALLINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT uq_callers UNIQUE (digest)
)
 WITH (fillfactor = 70);

CREATE INDEX ix_callers_cred ON callers (cred);

CREATE TABLE credential_hours (
  cred BYTEA NOT NULL,
  hour_ms BIGINT NOT NULL,
  accepted BIGINT DEFAULT '0' NOT NULL,
  rejected BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (cred, hour_ms)
)
 WITH (fillfactor = 70);

CREATE TABLE credentials (
  cred BYTEA NOT NULL,
  credential TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (cred)
);

CREATE INDEX ix_credentials_key ON credentials (key);

CREATE TABLE decisions (
  seq BIGINT NOT NULL,
  rollover TEXT NOT NULL,
  evaluated_at_ms BIGINT NOT NULL,
  verdict TEXT NOT NULL,
  evidence_hash TEXT NOT NULL,
  PRIMARY KEY (seq)
);

CREATE INDEX ix_decisions_rollover_evaluated_at_ms ON decisions (rollover, evaluated_at_ms);

CREATE TABLE evaluations (
  rollover TEXT NOT NULL,
  evaluated_at_ms BIGINT NOT NULL,
  verdict TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (rollover)
);

CREATE TABLE failure_points (
  minute_ms BIGINT NOT NULL,
  series_id BIGINT NOT NULL,
  requests BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (minute_ms, series_id)
)
 WITH (fillfactor = 70);

CREATE TABLE failure_series (
  id BIGSERIAL NOT NULL,
  digest BYTEA NOT NULL,
  cred BYTEA NOT NULL,
  credential TEXT NOT NULL,
  client TEXT,
  source TEXT,
  gateway TEXT NOT NULL,
  region TEXT,
  route TEXT,
  method TEXT,
  reason TEXT NOT NULL,
  last_minute_ms BIGINT NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT uq_failure_series UNIQUE (digest)
);

CREATE INDEX ix_failure_series_cred ON failure_series (cred);

CREATE TABLE gaps (
  id BIGSERIAL NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  from_ms BIGINT,
  to_ms BIGINT,
  recorded_at_ms BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE gateway_hours (
  gateway_id BIGINT NOT NULL,
  hour_ms BIGINT NOT NULL,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  records BIGINT DEFAULT '0' NOT NULL,
  minutes BYTEA,
  PRIMARY KEY (gateway_id, hour_ms)
);

CREATE TABLE gateways (
  id BIGSERIAL NOT NULL,
  digest BYTEA NOT NULL,
  gateway TEXT NOT NULL,
  region TEXT,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  records BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT uq_gateways UNIQUE (digest)
);

CREATE TABLE incidents (
  id TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  rollover TEXT,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  severity TEXT NOT NULL,
  opened_at_ms BIGINT NOT NULL,
  closed_at_ms BIGINT,
  summary TEXT NOT NULL,
  holds_gate BOOLEAN NOT NULL,
  evidence TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX ix_incidents_key ON incidents (key);

CREATE TABLE leaders (
  name TEXT NOT NULL,
  holder TEXT NOT NULL,
  until_ms BIGINT NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE ledger (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  generation BIGINT NOT NULL,
  from_offset BIGINT NOT NULL,
  to_offset BIGINT NOT NULL,
  epoch BIGINT DEFAULT '0' NOT NULL,
  records BIGINT DEFAULT '0' NOT NULL,
  aggregated BIGINT DEFAULT '0' NOT NULL,
  unmapped BIGINT DEFAULT '0' NOT NULL,
  rejected BIGINT DEFAULT '0' NOT NULL,
  backfill BOOLEAN NOT NULL,
  applied_at_ms BIGINT NOT NULL,
  PRIMARY KEY (topic, partition, generation, from_offset)
);

CREATE TABLE memos (
  name TEXT NOT NULL,
  body TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE meta (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE model_runs (
  id BIGSERIAL NOT NULL,
  trained_at_ms BIGINT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  artifact BYTEA,
  PRIMARY KEY (id)
);

CREATE TABLE notifications (
  id BIGSERIAL NOT NULL,
  sent_at_ms BIGINT NOT NULL,
  dedup_key TEXT NOT NULL,
  channel TEXT NOT NULL,
  order_key TEXT NOT NULL,
  reason TEXT NOT NULL,
  receipt TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE outbox (
  id BIGSERIAL NOT NULL,
  digest BYTEA NOT NULL,
  dedup_key TEXT NOT NULL,
  channel TEXT NOT NULL,
  order_key TEXT NOT NULL,
  reason TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  state TEXT NOT NULL,
  due_at_ms BIGINT NOT NULL,
  attempts INTEGER DEFAULT '0' NOT NULL,
  error TEXT,
  PRIMARY KEY (id),
  CONSTRAINT uq_outbox UNIQUE (digest)
);

CREATE INDEX ix_outbox_waiting ON outbox (channel, order_key, id) WHERE state = 'waiting';

CREATE TABLE partitions (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch BIGINT DEFAULT '0' NOT NULL,
  generation BIGINT DEFAULT '0' NOT NULL,
  next_offset BIGINT,
  identity TEXT,
  tail_offset BIGINT,
  tail_timestamp_ms BIGINT,
  tail_sha256 TEXT,
  stopped TEXT,
  worker TEXT,
  claimed_at_ms BIGINT,
  applied_at_ms BIGINT,
  end_offset BIGINT,
  probed_at_ms BIGINT,
  complete_through_ms BIGINT,
  pending_probes TEXT DEFAULT '[]' NOT NULL,
  PRIMARY KEY (topic, partition)
);

CREATE TABLE registry_changes (
  id BIGSERIAL NOT NULL,
  key TEXT NOT NULL,
  rollover TEXT,
  at_ms BIGINT NOT NULL,
  what TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX ix_registry_changes_key ON registry_changes (key);

CREATE TABLE registry_items (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  source TEXT NOT NULL,
  place INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, id)
);

CREATE TABLE reject_hours (
  hour_ms BIGINT NOT NULL,
  reason TEXT NOT NULL,
  last_ms BIGINT NOT NULL,
  count BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (hour_ms, reason)
);

CREATE TABLE rejects (
  id BIGSERIAL NOT NULL,
  arrival_ms BIGINT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  "offset" BIGINT NOT NULL,
  index INTEGER NOT NULL,
  reason TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  sample TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX ix_rejects_arrival_ms ON rejects (arrival_ms);

CREATE TABLE rollover_states (
  rollover TEXT NOT NULL,
  state TEXT NOT NULL,
  since_ms BIGINT NOT NULL,
  by TEXT,
  reason TEXT,
  retired_at_ms BIGINT,
  PRIMARY KEY (rollover)
);

CREATE TABLE sampled_hours (
  digest BYTEA NOT NULL,
  gateway TEXT NOT NULL,
  region TEXT,
  hour_ms BIGINT NOT NULL,
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  count BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (digest)
);

CREATE TABLE tokens (
  id BIGSERIAL NOT NULL,
  name TEXT NOT NULL,
  scope TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  revoked_at_ms BIGINT,
  PRIMARY KEY (id),
  CONSTRAINT uq_tokens UNIQUE (sha256)
);

CREATE TABLE topics (
  topic TEXT NOT NULL,
  partitions INTEGER,
  asked_at_ms BIGINT NOT NULL,
  PRIMARY KEY (topic)
);

CREATE TABLE turns (
  id BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE usage_points (
  series_id BIGINT NOT NULL,
  bucket_ms BIGINT NOT NULL,
  requests BIGINT DEFAULT '0' NOT NULL,
  PRIMARY KEY (series_id, bucket_ms)
)
 WITH (fillfactor = 70);

CREATE TABLE usage_series (
  id BIGSERIAL NOT NULL,
  digest BYTEA NOT NULL,
  cred BYTEA,
  credential TEXT,
  gateway TEXT NOT NULL,
  region TEXT,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  bucket_seconds INTEGER NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT uq_usage_series UNIQUE (digest)
);

CREATE INDEX ix_usage_series_cred ON usage_series (cred);

CREATE INDEX ix_usage_points_time ON usage_points USING brin (to_timestamp(bucket_ms / 1000));

ALTER TABLE caller_history ALTER COLUMN days SET STORAGE EXTERNAL;

CREATE VIEW v_usage AS
SELECT to_timestamp(p.bucket_ms / 1000) AS bucket, s.bucket_seconds AS bucket_seconds, c.key AS key, c.version AS version,
       CASE WHEN s.outcome = 'failure' AND c.cred IS NULL THEN NULL ELSE s.credential END AS credential,
       s.gateway AS gateway, s.region AS region, s.outcome AS outcome, s.reason AS reason, p.requests AS requests
FROM usage_points p
JOIN usage_series s ON s.id = p.series_id
LEFT JOIN credentials c ON c.cred = s.cred;

CREATE VIEW v_callers AS
SELECT g.key AS key, g.version AS version, g.client AS client, g.source AS source,
       to_timestamp(g.first_success_ms / 1000.0) AS first_success, to_timestamp(g.last_success_ms / 1000.0) AS last_success,
       to_timestamp(g.last_failure_ms / 1000.0) AS last_failure, g.successes AS successes, g.failures AS failures,
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
  AND s.client = coalesce(g.client, '') AND s.source = coalesce(g.source, '');

CREATE VIEW v_ledger AS
SELECT topic, partition, from_offset, to_offset, epoch, records, aggregated, unmapped, rejected FROM ledger;

CREATE VIEW v_rejects AS
SELECT to_timestamp(arrival_ms / 1000.0) AS at, topic, partition, "offset", "index", reason, sha256, sample FROM rejects;

CREATE VIEW v_decisions AS
SELECT rollover, to_timestamp(evaluated_at_ms / 1000.0) AS evaluated_at, verdict AS decision, evidence_hash FROM decisions;

CREATE VIEW v_incidents AS
SELECT key, version, to_timestamp(opened_at_ms / 1000.0) AS opened_at, to_timestamp(closed_at_ms / 1000.0) AS closed_at, kind, cause, severity
FROM incidents;
