"""From a verdict to what a person can act on: severity and one sentence with its numbers."""

from __future__ import annotations

from models.causes import NOT_THE_ROLLOVER, Cause, Scope, Verdict
from models.episodes import Severity
from models.observations import from_epoch

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
    where = {
        Scope.GATEWAY: f"by gateway {e.name}",
        Scope.REGION: f"in {e.name or 'one region'} ({verdict.gateways} gateway{_s(verdict.gateways)})",
        Scope.CALLER: f"for caller {e.name}",
        Scope.SOURCE: f"for callers from {e.name}",
        Scope.EVERYONE: f"at {verdict.gateways} gateway{_s(verdict.gateways)}",
    }[e.scope]
    since = from_epoch(verdict.since * 60)
    return (
        f"v{version} is refused {where} ({verdict.reason}): {e.failures} of {e.requests} requests, "
        f"{verdict.callers} failing caller{_s(verdict.callers)}, since {since:%Y-%m-%d %H:%M} UTC; {_ADVICE[verdict.cause]}"
    )


def _s(n: int) -> str:
    return "" if n == 1 else "s"
