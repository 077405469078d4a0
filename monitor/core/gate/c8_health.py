"""C8: the new version works: no open incident, no worse failure rate than before, nobody stuck failing on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import exp, lgamma, log, sqrt

from monitor.core.callers import Entry
from monitor.core.decision import Blocker, Status
from monitor.core.evidence import RequestCounts
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import DAY_MS, rfc3339

CLAUSE = "C8"
FLOOR = 0.01
"""Absolute floor: a failure rate up to one per cent is nobody's rollover failing."""
LEAST_FAILURES = 3
SURPRISE = 1e-3
_Z = 1.96


def health(look: Look) -> Finding:
    """Judge the new version's health."""
    new = look.version(look.rollover.to_version)
    now = total(look.evidence.last_day.get(each) for each in (() if new is None else new.credentials))
    before = total(look.evidence.before_start.get(each) for each in sorted(look.old_credentials))
    return finding(
        CLAUSE,
        [*_detector(look), *_incidents(look), *_rate(look, now, before), *_failing(look)],
        passed="no open incident, and the new version fails no more than the old one did",
        evidence={
            "accepted_24h": now.accepted,
            "rejected_24h": now.rejected,
            "baseline_accepted": before.accepted,
            "baseline_rejected": before.rejected,
            "open_incidents": len(look.evidence.incidents),
        },
    )


def total(counts: Iterable[RequestCounts | None]) -> RequestCounts:
    """Return the sum of what is there."""
    accepted = rejected = 0
    for each in counts:
        if each is not None:
            accepted += each.accepted
            rejected += each.rejected
    return RequestCounts(accepted=accepted, rejected=rejected)


def _detector(look: Look) -> Iterator[Trouble]:
    why = look.evidence.detector
    if why is not None:
        yield trouble(
            CLAUSE,
            Status.UNKNOWN,
            f"the detector is not ready: {why.removeprefix('not ready: ')}",
            "enough history for the detector",
        )


def _incidents(look: Look) -> Iterator[Trouble]:
    for incident in look.evidence.incidents:
        if incident.holds_gate:
            yield trouble(
                CLAUSE,
                Status.UNKNOWN if incident.cause == "unknown" else Status.FAIL,
                f"incident on v{incident.version} since {rfc3339(incident.opened_at_ms)}, cause {incident.cause}: "
                f"{incident.summary}",
                "the failures end and the incident closes",
            )


def _rate(look: Look, now: RequestCounts, before: RequestCounts) -> Iterator[Trouble]:
    """Compare by an exact binomial test, with failures that known callers can account for only.

    Strangers who try a key (credential stuffing) and a single caller whose own fault has been found out are no fault
    of the new version.
    """
    failing = [each for each in look.roster.remarkable if _failed_since(each, look.now_ms - DAY_MS)]
    explained = any(
        not each.holds_gate and each.version == look.rollover.to_version for each in look.evidence.incidents
    )
    if not failing or (explained and len(failing) == 1):
        return
    names = {(each.standing.name.client, each.standing.name.source) for each in failing}
    possible = sum(
        record.facts.rejected
        for record in look.records_of(look.new_credentials)
        if (record.client, record.source) in names
    )
    rejected = min(now.rejected, possible)
    requests = now.accepted + rejected
    baseline = max(FLOOR, upper_rate(before))
    if rejected >= LEAST_FAILURES and rejected > baseline * requests and tail(rejected, requests, baseline) < SURPRISE:
        yield trouble(
            CLAUSE,
            Status.FAIL,
            f"v{look.rollover.to_version} rejected {rejected} of {requests} requests of known callers in 24 hours; "
            f"up to {baseline:.1%} would be as before",
            "the failures end, and leave the last 24 hours",
        )


def _failed_since(entry: Entry, from_ms: int) -> bool:
    failed = entry.standing.profile.new_failed_ms
    return failed is not None and failed >= from_ms and not _excused(entry)


def _excused(entry: Entry) -> bool:
    return entry.standing.noise or entry.standing.state in ("waived", "suspect")


def _failing(look: Look) -> Iterator[Trouble]:
    for entry in look.roster.remarkable:
        standing, who = entry.standing, entry.standing.profile
        failed = who.new_failed_ms
        if failed is None or failed < look.window_from_ms or not who.fails_on_new or _excused(entry):
            continue
        yield Trouble(
            status=Status.FAIL,
            blocker=Blocker(
                clause=CLAUSE,
                caller=standing.name,
                state=standing.state,
                last_seen_ms=failed,
                next_expected_ms=who.next_expected_ms,
                requests_per_day=who.requests_per_day,
                clears_at_ms=failed + look.policy.quiet_window_ms + 1,
                summary=f"{standing.name} was rejected on v{look.rollover.to_version} at {rfc3339(failed)} "
                "and has not succeeded there since",
                what_would_clear_it=f"one success on v{look.rollover.to_version}, or a waiver",
            ),
        )


def upper_rate(counts: RequestCounts) -> float:
    """Return Wilson's upper bound (95 %) of the share rejected; 0 without any request."""
    n = counts.accepted + counts.rejected
    if not n:
        return 0.0
    p = counts.rejected / n
    z2 = _Z * _Z
    return (p + z2 / (2 * n) + _Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)


def tail(k: int, n: int, p: float) -> float:
    """Return P(X >= k) of a binomial, for k above its mean: the terms fall at least geometrically.

    >>> round(tail(3, 3, 0.5), 3)
    0.125
    """
    if p >= 1.0:
        return 1.0
    term = exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p))
    odds = p / (1 - p)
    result = 0.0
    while k <= n and term > result * 1e-12:
        result += term
        term *= (n - k) / (k + 1) * odds
        k += 1
    return min(1.0, result)
