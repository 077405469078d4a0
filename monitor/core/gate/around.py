"""The answer around the verdict: blast radius, ETA, progress, and what telemetry cannot see."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.decision import BlastRadius, Blocker, CallerState, Eta, EtaState, Progress, Verdict
from monitor.core.gate.look import Look
from monitor.core.instants import DAY_MS, format_duration, rfc3339

_MOVING_MS = 3 * DAY_MS
"""A rollover in which nobody moved for this long is stalled."""

_ON_OLD = frozenset({CallerState.ACTIVE, CallerState.DRAINING, CallerState.DUE, CallerState.OVERDUE})


def blast_radius(look: Look) -> BlastRadius:
    """Return what would break if the old version were retired now: every caller that is not cleared."""
    held = [entry.standing.profile for entry in look.roster.uncleared]
    requests = sum(each.requests_per_day for each in held)
    everything = sum(each.accepted for each in look.evidence.last_day.values())
    share = requests / max(everything, requests) if requests else 0.0
    return BlastRadius(
        callers=len(held),
        requests_per_day=round(requests, 2),
        share_of_requests=round(share, 4),
        next_hit_ms=max(look.now_ms, min(each.next_expected_ms for each in held)) if held else None,
    )


def eta(look: Look, verdict: Verdict, blockers: Sequence[Blocker]) -> Eta:
    """Return when GO can come if nothing new happens; no curve is fitted to a handful of stragglers."""
    if verdict is Verdict.GO:
        return Eta(state=EtaState.READY, earliest_go_ms=look.now_ms, limited_by=None)
    never = [each for each in blockers if each.clears_at_ms is None]
    limit = never[0] if never else max(blockers, key=lambda each: each.clears_at_ms or 0)
    return Eta(
        state=_movement(look, never=bool(never)),
        earliest_go_ms=None if never else limit.clears_at_ms,
        limited_by=limit.clause if limit.caller is None else f"{limit.clause} {limit.caller}",
    )


def _movement(look: Look, *, never: bool) -> EtaState:
    recent = look.now_ms - _MOVING_MS
    held = [entry.standing for entry in look.roster.uncleared]
    using = [each for each in held if each.profile.last_sign_ms >= look.now_ms - look.policy.settle_ms]
    if not using and not never:
        return EtaState.WAITING
    moving = any((standing.profile.new_first_ms or 0) >= recent for standing in look.roster)
    return EtaState.DRAINING if moving else EtaState.STALLED


def progress(look: Look) -> Progress:
    """Return how much has moved."""
    held = len(look.roster.uncleared)
    old = sum(counts.accepted for name, counts in look.evidence.last_day.items() if name in look.old_credentials)
    new = sum(counts.accepted for name, counts in look.evidence.last_day.items() if name in look.new_credentials)
    return Progress(
        callers=len(look.roster),
        callers_cleared=len(look.roster) - held,
        requests_moved_share=round(new / (old + new), 4) if old + new else None,
    )


def telemetry_notes(look: Look) -> tuple[str, ...]:
    """Return what this decision cannot see, by name."""
    policy, coverage = look.policy, look.coverage
    window, settle = format_duration(policy.quiet_window_ms), format_duration(policy.settle_ms)
    notes = [
        f"A hidden process of a proven caller that is slower than the quiet window ({window}) cannot be told apart.",
        f"Nor can one slower than settle ({settle}) that has not used the old version since its caller moved.",
        "Gateways that cache authentications must log every request: cached uses are invisible otherwise.",
    ]
    if not look.registry.gateways:
        seen = ", ".join(str(each) for each in coverage.watches) or "none"
        notes.append(f"No gateway is registered: nobody attested that those heard ({seen}) are all there are.")
    if coverage.history_start_ms is not None and coverage.history_start_ms > look.now_ms - policy.lookback_ms:
        notes.append(f"History begins at {rfc3339(coverage.history_start_ms)}: slower callers may be unknown.")
    if coverage.blind_because is not None:
        notes.append(
            f"Coverage gap until {rfc3339(coverage.blind_until_ms)} ({coverage.blind_because}): "
            "silence counts as observed only from then on."
        )
    sampled = sorted({each.detail for each in look.telemetry.sampled})
    if sampled:
        notes.append(f"Sampled gateways: {', '.join(sampled)}.")
    if policy.gone_after_ms < policy.quiet_window_ms:
        notes.append("gone_after is shorter than the quiet window: a holiday looks like a decommissioned caller.")
    new = look.version(look.rollover.to_version)
    if new is not None and new.expires_at_ms is not None and new.expires_at_ms <= look.now_ms:
        notes.append(f"v{new.version} is registered as expired since {rfc3339(new.expires_at_ms)}.")
    suspects = [str(each.name) for each in look.roster if each.state is CallerState.SUSPECT]
    if suspects:
        notes.append(f"Suspects on v{look.rollover.from_version}, not protected: {', '.join(suspects[:10])}.")
    return tuple(notes)
