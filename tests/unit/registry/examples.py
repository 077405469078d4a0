"""The registry file of the contract, as tests change it."""

from __future__ import annotations

EXAMPLE = """\
keys:
  - key: billing-api
    owner: {team: payments, slack: "#payments-keys"}
    versions:
      - {version: 1, credentials: [cred-a1], created_at: 2025-11-01T00:00:00Z, expires_at: 2026-06-01T00:00:00Z, scopes: [read]}
      - {version: 2, credentials: [cred-a2, cred-a2b], created_at: 2026-05-01T00:00:00Z}
    clients: [acme, globex]            # optional
gateways: [{gateway: edge-1, region: eu}, {gateway: edge-2, region: us, max_silence: 6h}]
rollovers:
  - {id: billing-2026-05, key: billing-api, from: 1, to: 2, started_at: 2026-05-01T00:00:00Z, deadline: 2026-06-01T00:00:00Z, policy: {quiet_window: 3d}}
pins:    [{key: billing-api, version: 1, reason: "retain for migration", by: ana, until: 2026-07-01T00:00:00Z}]
waivers: [{rollover: billing-2026-05, client: globex, source: lab, reason: "decommissioned", by: ana, from: 2026-05-20T00:00:00Z, until: 2026-06-10T00:00:00Z}]
unmanaged: [{credential: legacy-cron, reason: "not under rotation", by: ana, until: 2026-12-31T00:00:00Z}]
noise:   [{client: uptime-probe, reason: "synthetic", by: ana, until: 2026-12-31T00:00:00Z, max_per_day: 3000}]
"""  # noqa: E501 - the contract's own lines
