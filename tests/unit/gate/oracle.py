"""The contract's states by the book, on raw events: slow, exact, and sharing no code with the callers' own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import mean, stdev

from monitor.core.instants import HOUR_MS
from monitor.core.policy import Policy
from tests.unit.gate.world import NEW, OLD, Use

NEVER = 1 << 62


def sightings(served: Sequence[int]) -> list[int]:
    """Return when sightings began."""
    found: list[int] = []
    for at in sorted(served):
        if not found or at - found[-1] >= 12 * HOUR_MS:
            found.append(at)
    return found


def clears_at(uses: Sequence[Use], policy: Policy, *, blind_until: int = 0) -> tuple[int, int]:
    """Return when one caller counts as migrated, and when as gone, if nothing more happens (`NEVER`: not so)."""
    used = sorted(each.at for each in uses if each.credential == OLD and each.ok)
    tried = [each.at for each in uses if each.credential == OLD and not each.ok]
    proofs = sorted(each.at for each in uses if each.credential == NEW and each.ok and each.served)
    failed = [each.at for each in uses if each.credential == NEW and not each.ok]
    last = max([used[-1], *tried])
    longest = max((b - a for a, b in itertools.pairwise(used)), default=0)
    return (
        _migrated(used, last, longest, proofs, policy),
        NEVER
        if failed and (not proofs or max(failed) > proofs[-1])
        else _gone(uses, last, longest, policy, blind_until),
    )


def _migrated(used: list[int], last: int, longest: int, proofs: list[int], policy: Policy) -> int:
    after = [at for at in proofs if at > last]
    if not after:
        return NEVER
    residual = [at for at in used if at >= proofs[0]]
    gaps = [b - a for a, b in itertools.pairwise(residual)] or [at - proofs[0] for at in residual]
    single = len(residual) == 1 and residual[0] - proofs[0] > HOUR_MS  # ADR 0021: it has no gap to a next one
    silence = min(
        policy.quiet_window_ms,
        max(
            3 * policy.settle_ms if single else policy.settle_ms,
            int(policy.gap_factor * longest),
            int(12 * mean(gaps)) if gaps else 0,
        ),
    )
    return max(last + silence, after[0] + policy.settle_ms)


def _gone(uses: Sequence[Use], last: int, longest: int, policy: Policy, blind_until: int) -> int:
    seen = sightings([each.at for each in uses if each.credential == OLD and each.ok and each.served])
    gaps = [b - a for a, b in itertools.pairwise(seen)]
    floor = max(policy.quiet_window_ms, policy.gone_after_ms)
    if len(seen) >= policy.min_sightings and gaps and (len(gaps) == 1 or stdev(gaps) / mean(gaps) <= 0.2):
        silence = max(floor, int(policy.gap_factor * longest))
    elif len(seen) >= 10:
        silence = max(floor, 3 * longest)
    else:
        silence = policy.longest_cadence_ms
    return max(last, blind_until) + silence
