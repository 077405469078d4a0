CREATE VIEW v_rollovers AS
SELECT r.rollover AS rollover, r.key AS key, r.from_version AS from_version, r.to_version AS to_version,
       coalesce(s.state, CASE WHEN r.started_at_ms > extract(epoch from now()) * 1000 THEN 'planned' ELSE 'overlap' END) AS state,
       to_timestamp(r.started_at_ms / 1000.0) AS started_at, to_timestamp(r.deadline_ms / 1000.0) AS deadline,
       to_timestamp(CASE WHEN s.state = 'rolled_back' THEN NULL ELSE coalesce(s.retired_at_ms, r.retired_at_ms) END / 1000.0)
         AS retired_at,
       e.verdict AS decision, to_timestamp(e.evaluated_at_ms / 1000.0) AS evaluated_at,
       (e.body::json -> 'progress' ->> 'callers')::integer AS callers,
       (e.body::json -> 'progress' ->> 'callers_cleared')::integer AS callers_cleared,
       (e.body::json -> 'progress' ->> 'requests_moved_share')::double precision AS requests_moved_share,
       (e.body::json -> 'blast_radius' ->> 'requests_per_day')::double precision AS requests_per_day_left,
       e.body::json -> 'eta' ->> 'state' AS eta, (e.body::json -> 'eta' ->> 'earliest_go')::timestamptz AS earliest_go,
       e.body::json -> 'eta' ->> 'limited_by' AS limited_by
FROM (
  SELECT i.id AS rollover, i.body::json ->> 'key' AS key, (i.body::json ->> 'from_version')::integer AS from_version,
         (i.body::json ->> 'to_version')::integer AS to_version, (i.body::json ->> 'started_at_ms')::bigint AS started_at_ms,
         (i.body::json ->> 'deadline_ms')::bigint AS deadline_ms, (i.body::json ->> 'retired_at_ms')::bigint AS retired_at_ms
  FROM registry_items i WHERE i.kind = 'rollover'
) r
LEFT JOIN rollover_states s ON s.rollover = r.rollover
LEFT JOIN evaluations e ON e.rollover = r.rollover;

CREATE VIEW v_blockers AS
SELECT e.rollover AS rollover, b.value::json ->> 'clause' AS clause, b.value::json ->> 'summary' AS summary,
       b.value::json -> 'caller' ->> 'client' AS client, b.value::json -> 'caller' ->> 'source' AS source, b.value::json ->> 'state' AS state,
       (b.value::json ->> 'last_seen')::timestamptz AS last_seen, (b.value::json ->> 'next_expected')::timestamptz AS next_expected,
       (b.value::json ->> 'requests_per_day')::double precision AS requests_per_day,
       b.value::json ->> 'what_would_clear_it' AS what_would_clear_it
FROM evaluations e, json_array_elements(e.body::json -> 'blockers') AS b(value);

CREATE VIEW v_alerts AS
SELECT to_timestamp(a.at_ms / 1000.0) AS at, a.body::json -> 'alert' ->> 'kind' AS kind, a.body::json -> 'alert' ->> 'severity' AS severity,
       a.body::json -> 'alert' ->> 'rollover' AS rollover, a.body::json -> 'alert' ->> 'key' AS key, a.body::json -> 'alert' ->> 'cause' AS cause,
       a.body::json -> 'alert' ->> 'episode' AS episode, a.body::json -> 'alert' ->> 'text' AS text,
       CASE WHEN (a.body::json ->> 'notified')::boolean THEN 'yes' ELSE 'no' END AS told, a.body::json ->> 'reason' AS reason
FROM audit a WHERE a.kind = 'alert';

CREATE VIEW v_steps AS
SELECT a.rollover AS rollover, to_timestamp(a.at_ms / 1000.0) AS at, a.body::json ->> 'from' AS from_state, a.body::json ->> 'to' AS to_state,
       a.body::json ->> 'by' AS by, a.body::json ->> 'reason' AS reason
FROM audit a WHERE a.kind = 'transition';

CREATE VIEW v_gateways AS
SELECT gateway, region, to_timestamp(first_ms / 1000.0) AS first_seen, to_timestamp(last_ms / 1000.0) AS last_seen, records FROM gateways;

CREATE VIEW v_partitions AS
SELECT topic, partition, next_offset, end_offset,
       CASE WHEN end_offset > next_offset THEN end_offset - next_offset WHEN end_offset IS NOT NULL THEN 0 END AS lag,
       to_timestamp(applied_at_ms / 1000.0) AS applied_at, to_timestamp(probed_at_ms / 1000.0) AS probed_at, worker, stopped
FROM partitions;

CREATE VIEW v_hours AS
SELECT to_timestamp(h.hour_ms / 1000) AS hour, c.key AS key, c.version AS version, h.accepted AS accepted, h.rejected AS rejected
FROM credential_hours h JOIN credentials c ON c.cred = h.cred;

CREATE VIEW v_gaps AS
SELECT topic, partition, to_timestamp(from_ms / 1000.0) AS from_time, to_timestamp(to_ms / 1000.0) AS to_time, to_timestamp(recorded_at_ms / 1000.0) AS recorded_at, reason FROM gaps;

CREATE INDEX ix_credential_hours_time ON credential_hours USING brin (to_timestamp(hour_ms / 1000));
