"""C3: every gateway was heard throughout the window, by event time of what has arrived; none is unknown to us.

Where no gateway is registered, every one ever heard counts as registered from its first record on: a shipper that
stops is noticed all the same, and the decision's notes say that nobody attested that these are all.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.coverage import EVER_MS, Span, Watch
from monitor.core.decision import Json, Status
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import HOUR_MS, MINUTE_MS, format_duration, rfc3339

CLAUSE = "C3"


def gateways(look: Look) -> Finding:
    """Judge the gateways' silences within the quiet window."""
    watches = look.coverage.watches
    return finding(
        CLAUSE,
        _troubles(look),
        passed=f"all {len(watches)} gateways were heard throughout the window",
        evidence={
            "gateways": [_described(each, look) for each in watches],
            "registered": bool(look.registry.gateways),
            "unregistered": [*sorted({each.gateway for each in look.coverage.strangers})],
            "outlived": [*sorted({each.gateway for each in look.coverage.outlived})],
        },
    )


def _troubles(look: Look) -> Iterator[Trouble]:
    coverage = look.coverage
    if not coverage.watches:
        where = "" if look.region is None else f" of region {look.region}"
        yield _unknown(
            f"no gateway{where} is registered or was ever heard", "register the gateways, and ship their logs"
        )
    for watch in coverage.watches:
        yield from _silence(look, watch)
    for stranger in coverage.strangers:
        name = stranger.gateway if stranger.region is None else f"{stranger.gateway} in {stranger.region}"
        yield _unknown(
            f"gateway {name} sends records and is not registered",
            "register it, or list it under `unmanaged`",
        )
    for watch in coverage.outlived:
        yield _unknown(
            f"gateway {watch} still sends after its `until`, {rfc3339(watch.until_ms)}",
            "correct its `until` in the registry",
        )


def _silence(look: Look, watch: Watch) -> Iterator[Trouble]:
    longest = watch.longest_silence(look.window_from_ms, look.now_ms)
    if longest is None:
        return
    start, end = longest
    if end - start > watch.max_silence_ms:
        lasts = end >= look.now_ms
        yield _unknown(
            f"gateway {watch} was not heard for {format_duration(end - start)} from {rfc3339(start)} "
            f"(at most {format_duration(watch.max_silence_ms)} is allowed)",
            "it is heard again, and its missing logs arrive or leave the window"
            if lasts
            else "its missing logs arrive, or the silence leaves the window",
            clears_at_ms=None if lasts else end + look.policy.quiet_window_ms - watch.max_silence_ms,
        )
    elif (
        watch.max_silence_ms < HOUR_MS
        and max(look.window_from_ms, watch.from_ms) < look.telemetry.fine_since_ms - MINUTE_MS
    ):
        yield _unknown(
            f"silences of gateway {watch} are known to the minute only since {rfc3339(look.telemetry.fine_since_ms)}",
            "a shorter quiet_window, or liveness kept for longer",
        )


def _described(watch: Watch, look: Look) -> Json:
    longest = watch.longest_silence(look.window_from_ms, look.now_ms)
    return {
        "gateway": watch.gateway,
        "region": watch.region,
        "longest_silence_seconds": None if longest is None else (longest[1] - longest[0]) // 1000,
        "max_silence_seconds": watch.max_silence_ms // 1000,
        "last_record": None if watch.last_ms is None or watch.last_ms >= EVER_MS else rfc3339(watch.last_ms),
        **_over(watch, look, longest),
    }


def _over(watch: Watch, look: Look, longest: Span | None) -> dict[str, Json]:
    """Return how many silences are too long, and the latest; what lies before all history is no gateway's fault."""
    if longest is None or longest[1] - longest[0] <= watch.max_silence_ms:
        return {}
    began = look.telemetry.history_start_ms
    over = watch.silences(max(look.window_from_ms, began or look.window_from_ms), look.now_ms)
    if not over:
        return {"silences": 0}
    start, end = over[-1]
    latest: Json = {"from": rfc3339(start), "to": None if end >= look.now_ms else rfc3339(end)}
    return {"silences": len(over), "latest_silence": latest}


def _unknown(summary: str, clear: str, *, clears_at_ms: int | None = None) -> Trouble:
    return trouble(CLAUSE, Status.UNKNOWN, summary, clear, clears_at_ms=clears_at_ms)
