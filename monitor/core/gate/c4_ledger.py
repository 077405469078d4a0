"""C4: the ledger tiles every partition, and no record of the window is known to be lost."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.decision import Status
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import rfc3339

CLAUSE = "C4"


def ledger(look: Look) -> Finding:
    """Judge the ledger's tiling and the coverage gaps that reach into the window."""
    return finding(
        CLAUSE,
        _troubles(look),
        passed="the ledger tiles, and no gap reaches into the window",
        evidence={"gaps": len(look.telemetry.gaps), "faults": len(look.telemetry.ledger_faults)},
    )


def _troubles(look: Look) -> Iterator[Trouble]:
    for fault in look.telemetry.ledger_faults:
        yield trouble(CLAUSE, Status.UNKNOWN, f"the ledger does not tile: {fault}", "find out with `rollwatch doctor`")
    for gap in look.telemetry.gaps:
        end = gap.recorded_at_ms if gap.to_ms is None else gap.to_ms
        if end >= look.window_from_ms:
            yield trouble(
                CLAUSE,
                Status.UNKNOWN,
                f"records of {gap.topic}:{gap.partition} up to {rfc3339(end)} were lost: {gap.reason}",
                "a backfill from the archive, or the gap leaves the window",
                clears_at_ms=end + look.policy.quiet_window_ms + 1,
            )
