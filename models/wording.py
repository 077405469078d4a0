"""From a verdict to what a person can act on: severity and one sentence with its numbers."""

from __future__ import annotations

from models.cause import NOT_THE_ROLLOVER, Cause
from models.causes import Verdict
from models.episodes import Severity
from models.observations import from_epoch
from models.scopes import Scope

_CRITICAL_CALLERS = 3
_CRITICAL_SHARE = 0.5

_ADVICE: dict[Cause, str] = {
    Cause.PROPAGATION_DELAY: "likely not propagated there yet",
    Cause.STALE_GATEWAY: "likely one stale node: reload its keys",
    Cause.EARLY_REVOCATION: "likely revoked before its callers had moved: restore it",
    Cause.PREMATURE_EXPIRY: "it has expired while still in use: extend it",
    Cause.SCOPE_LOSS: "likely a scope is missing on this version",
    Cause.WRONG_SECRET: "likely a wrong secret in that caller's configuration",
    Cause.WRONG_ENVIRONMENT: "likely a credential of another environment",
    Cause.RETRY_STORM: "the caller retries in a storm: ask its owner to stop and fix the credential",
    Cause.RATE_LIMITED: "likely a quota too low on this version",
    Cause.CREDENTIAL_STUFFING: "nobody's callers are trying credentials",
    Cause.UPSTREAM_OUTAGE: "an outage behind the gateway, not the key",
    Cause.CLIENT_OUTAGE: "the caller has gone silent",
    Cause.CALLER_FAULT: "likely the caller's own fault, not the rollover's",
    Cause.UNKNOWN: "cause unknown",
}


def severity(verdict: Verdict) -> Severity:
    """Rate a verdict: info where the rollover is not to blame, critical for many callers or a share of half."""
    if verdict.cause in NOT_THE_ROLLOVER:
        return Severity.INFO
    share = verdict.failures / max(1, verdict.failures + verdict.successes)
    if verdict.callers >= _CRITICAL_CALLERS or (share >= _CRITICAL_SHARE and verdict.callers > 1):
        return Severity.CRITICAL
    return Severity.WARNING


def sentence(version: int, verdict: Verdict) -> str:
    """Say what fails, where, for whom and since when (UTC), with the numbers that decided the cause."""
    e = verdict.explanation
    since = from_epoch(verdict.since * 60)
    return (
        f"v{version} is refused {_where(verdict)} ({verdict.reason}): {e.failures} of {e.requests} requests of "
        f"{verdict.callers} caller{_s(verdict.callers)} since {since:%Y-%m-%d %H:%M} UTC; {_ADVICE[verdict.cause]}"
    )


def _where(verdict: Verdict) -> str:
    e, failing, fine = verdict.explanation, verdict.gateways, verdict.fine_gateways
    elsewhere = f" and by none of {fine} other{_s(fine)}" if fine else ""
    if e.scope is Scope.GATEWAY:
        return f"by gateway {e.name}{elsewhere}"
    if e.scope is Scope.REGION:
        inside = max(min(failing, verdict.gateways_in_scope), 1)
        return f"by {inside} of {verdict.gateways_in_scope} gateways in {e.name}{elsewhere}"
    if e.scope is Scope.GATEWAYS:
        return f"by gateways {e.name}{elsewhere}"
    others = verdict.fine_callers
    well = f" while {others} other caller{_s(others)} succeed{'s' if others == 1 else ''}" if others else ""
    if e.scope is Scope.CALLER:
        return f"for caller {e.name}{well}"
    if e.scope is Scope.SOURCE:
        return f"for callers from {e.name}{well}"
    return f"at {failing} gateway{_s(failing)}{well}"


def _s(n: int) -> str:
    return "" if n == 1 else "s"
