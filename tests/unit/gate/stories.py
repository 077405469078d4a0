"""What the stories about the gate share: a world that is GO, telemetry of a live daemon, and who blocked."""

from __future__ import annotations

from monitor.core.decision import Decision, Verdict
from monitor.core.evidence import GatewayLiveness, PartitionStatus
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from tests.unit.gate.world import START, World, moved

D, H = DAY_MS, HOUR_MS
NOW = START + 30 * D


def healthy(**fields: object) -> World:
    """Return a world in which everybody has moved and everything was seen: GO."""
    return World(**({"uses": moved(), "now": NOW} | fields))  # type: ignore[arg-type]


def live(**partition: object) -> dict[str, object]:
    """Return telemetry of a running daemon with one topic of two partitions."""
    fine = {"next_offset": 10, "end_offset": 10, "probed_at_ms": NOW - 5000, "complete_through_ms": NOW - 5000}
    return {
        "replayed": False,
        "expected_partitions": {"auth": 2},
        "partitions": (
            PartitionStatus(topic="auth", partition=0, **fine),  # type: ignore[arg-type]
            PartitionStatus(topic="auth", partition=1, **(fine | partition)),  # type: ignore[arg-type]
        ),
    }


def edge(**fields: object) -> GatewayLiveness:
    given = {"gateway": "edge", "region": None, "first_ms": START - 200 * D, "last_ms": NOW - MINUTE_MS}
    return GatewayLiveness(**(given | fields))  # type: ignore[arg-type]


def blocked(decision: Decision, clause: str, *words: str) -> None:
    """Check that the clause blocks, and that its blocker says why."""
    assert decision.verdict is not Verdict.GO
    found = [each.summary for each in decision.blockers if each.clause == clause]
    assert any(all(word in summary for word in words) for summary in found), (decision.verdict, decision.blockers)
    assert all(each.what_would_clear_it for each in decision.blockers)
