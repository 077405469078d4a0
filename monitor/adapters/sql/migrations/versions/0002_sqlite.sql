CREATE VIEW v_rollovers AS
SELECT r.rollover AS rollover, r.key AS key, r.from_version AS from_version, r.to_version AS to_version,
       coalesce(s.state, CASE WHEN r.started_at_ms > CAST(strftime('%s', 'now') AS INTEGER) * 1000 THEN 'planned' ELSE 'overlap' END) AS state,
       strftime('%Y-%m-%dT%H:%M:%S', r.started_at_ms / 1000, 'unixepoch') || printf('.%03dZ', r.started_at_ms % 1000) AS started_at, strftime('%Y-%m-%dT%H:%M:%S', r.deadline_ms / 1000, 'unixepoch') || printf('.%03dZ', r.deadline_ms % 1000) AS deadline,
       strftime('%Y-%m-%dT%H:%M:%S', CASE WHEN s.state = 'rolled_back' THEN NULL ELSE coalesce(s.retired_at_ms, r.retired_at_ms) END / 1000, 'unixepoch') || printf('.%03dZ', CASE WHEN s.state = 'rolled_back' THEN NULL ELSE coalesce(s.retired_at_ms, r.retired_at_ms) END % 1000)
         AS retired_at,
       e.verdict AS decision, strftime('%Y-%m-%dT%H:%M:%S', e.evaluated_at_ms / 1000, 'unixepoch') || printf('.%03dZ', e.evaluated_at_ms % 1000) AS evaluated_at,
       json_extract(e.body, '$.progress.callers') AS callers,
       json_extract(e.body, '$.progress.callers_cleared') AS callers_cleared,
       json_extract(e.body, '$.progress.requests_moved_share') AS requests_moved_share,
       json_extract(e.body, '$.blast_radius.requests_per_day') AS requests_per_day_left,
       json_extract(e.body, '$.eta.state') AS eta, json_extract(e.body, '$.eta.earliest_go') AS earliest_go,
       json_extract(e.body, '$.eta.limited_by') AS limited_by
FROM (
  SELECT i.id AS rollover, json_extract(i.body, '$.key') AS key, json_extract(i.body, '$.from_version') AS from_version,
         json_extract(i.body, '$.to_version') AS to_version, json_extract(i.body, '$.started_at_ms') AS started_at_ms,
         json_extract(i.body, '$.deadline_ms') AS deadline_ms, json_extract(i.body, '$.retired_at_ms') AS retired_at_ms
  FROM registry_items i WHERE i.kind = 'rollover'
) r
LEFT JOIN rollover_states s ON s.rollover = r.rollover
LEFT JOIN evaluations e ON e.rollover = r.rollover;

CREATE VIEW v_blockers AS
SELECT e.rollover AS rollover, json_extract(b.value, '$.clause') AS clause, json_extract(b.value, '$.summary') AS summary,
       json_extract(b.value, '$.caller.client') AS client, json_extract(b.value, '$.caller.source') AS source, json_extract(b.value, '$.state') AS state,
       json_extract(b.value, '$.last_seen') AS last_seen, json_extract(b.value, '$.next_expected') AS next_expected,
       json_extract(b.value, '$.requests_per_day') AS requests_per_day,
       json_extract(b.value, '$.what_would_clear_it') AS what_would_clear_it
FROM evaluations e, json_each(e.body, '$.blockers') b;

CREATE VIEW v_alerts AS
SELECT strftime('%Y-%m-%dT%H:%M:%S', a.at_ms / 1000, 'unixepoch') || printf('.%03dZ', a.at_ms % 1000) AS at, json_extract(a.body, '$.alert.kind') AS kind, json_extract(a.body, '$.alert.severity') AS severity,
       json_extract(a.body, '$.alert.rollover') AS rollover, json_extract(a.body, '$.alert.key') AS key, json_extract(a.body, '$.alert.cause') AS cause,
       json_extract(a.body, '$.alert.episode') AS episode, json_extract(a.body, '$.alert.text') AS text,
       CASE WHEN json_extract(a.body, '$.notified') THEN 'yes' ELSE 'no' END AS told, json_extract(a.body, '$.reason') AS reason
FROM audit a WHERE a.kind = 'alert';

CREATE VIEW v_steps AS
SELECT a.rollover AS rollover, strftime('%Y-%m-%dT%H:%M:%S', a.at_ms / 1000, 'unixepoch') || printf('.%03dZ', a.at_ms % 1000) AS at, json_extract(a.body, '$.from') AS from_state, json_extract(a.body, '$.to') AS to_state,
       json_extract(a.body, '$.by') AS by, json_extract(a.body, '$.reason') AS reason
FROM audit a WHERE a.kind = 'transition';

CREATE VIEW v_gateways AS
SELECT gateway, region, strftime('%Y-%m-%dT%H:%M:%S', first_ms / 1000, 'unixepoch') || printf('.%03dZ', first_ms % 1000) AS first_seen, strftime('%Y-%m-%dT%H:%M:%S', last_ms / 1000, 'unixepoch') || printf('.%03dZ', last_ms % 1000) AS last_seen, records FROM gateways;

CREATE VIEW v_partitions AS
SELECT topic, partition, next_offset, end_offset,
       CASE WHEN end_offset > next_offset THEN end_offset - next_offset WHEN end_offset IS NOT NULL THEN 0 END AS lag,
       strftime('%Y-%m-%dT%H:%M:%S', applied_at_ms / 1000, 'unixepoch') || printf('.%03dZ', applied_at_ms % 1000) AS applied_at, strftime('%Y-%m-%dT%H:%M:%S', probed_at_ms / 1000, 'unixepoch') || printf('.%03dZ', probed_at_ms % 1000) AS probed_at, worker, stopped
FROM partitions;

CREATE VIEW v_hours AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', h.hour_ms / 1000, 'unixepoch') AS hour, c.key AS key, c.version AS version, h.accepted AS accepted, h.rejected AS rejected
FROM credential_hours h JOIN credentials c ON c.cred = h.cred;

CREATE VIEW v_gaps AS
SELECT topic, partition, strftime('%Y-%m-%dT%H:%M:%S', from_ms / 1000, 'unixepoch') || printf('.%03dZ', from_ms % 1000) AS from_time, strftime('%Y-%m-%dT%H:%M:%S', to_ms / 1000, 'unixepoch') || printf('.%03dZ', to_ms % 1000) AS to_time, strftime('%Y-%m-%dT%H:%M:%S', recorded_at_ms / 1000, 'unixepoch') || printf('.%03dZ', recorded_at_ms % 1000) AS recorded_at, reason FROM gaps;
