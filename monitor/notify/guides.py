"""What each kind of alert and each cause means to the person who reads it: a title, the likely fix, the runbook."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.core.alerts import Alert, AlertKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """`runbook` is a file of `docs/runbooks/`, without its ending."""

    title: str
    likely_fix: str
    runbook: str


BY_CAUSE: dict[str, Guide] = {
    "brownout": Guide(
        title="A brownout must end",
        likely_fix="Switch the old version on again at the gateways, then `rollwatch rollover enable`.",
        runbook="brownout",
    ),
    "propagation_delay": Guide(
        title="New version not everywhere yet",
        likely_fix="Wait for, or push, the gateways' configuration; keep the old version alive until each of them "
        "accepts the new one.",
        runbook="propagation-delay",
    ),
    "stale_gateway": Guide(
        title="One gateway is out of date",
        likely_fix="Reload or restart that gateway's configuration; take it out of rotation until it accepts the new "
        "version.",
        runbook="stale-gateway",
    ),
    "early_revocation": Guide(
        title="Old version cut off too early",
        likely_fix="Enable the old version again now: callers still need it.",
        runbook="early-revocation",
    ),
    "premature_expiry": Guide(
        title="A version expired while in use",
        likely_fix="Extend the version's expiry, or move its callers; check the expiry dates in the registry.",
        runbook="premature-expiry",
    ),
    "scope_loss": Guide(
        title="New version lacks a permission",
        likely_fix="Grant the new version the scopes that the old one has; compare them in the registry.",
        runbook="scope-loss",
    ),
    "wrong_secret": Guide(
        title="One caller has a wrong secret",
        likely_fix="Deliver the new secret to that caller again and compare fingerprints (`rollwatch fingerprint`).",
        runbook="wrong-secret",
    ),
    "wrong_environment": Guide(
        title="A key of another environment is used",
        likely_fix="Check which environment's secret was deployed there.",
        runbook="wrong-environment",
    ),
    "retry_storm": Guide(
        title="A caller retries without pause",
        likely_fix="Stop the caller's retries or put its old version back; then look why its first request failed.",
        runbook="retry-storm",
    ),
    "rate_limited": Guide(
        title="Requests are rate limited",
        likely_fix="Check that the new version has the old one's quota.",
        runbook="rate-limited",
    ),
    "credential_stuffing": Guide(
        title="Unknown keys are being tried",
        likely_fix="Nothing to roll back. Tell the security team; block the sources at the edge.",
        runbook="credential-stuffing",
    ),
    "upstream_outage": Guide(
        title="The service behind the gateway fails",
        likely_fix="Nothing to roll back: authentication works. Tell the service's owner.",
        runbook="upstream-outage",
    ),
    "client_outage": Guide(
        title="A caller fell silent",
        likely_fix="Ask the caller's owner whether it is down; silence is not migration.",
        runbook="client-outage",
    ),
    "caller_fault": Guide(
        title="A caller broke itself",
        likely_fix="Tell the caller's owner. The rollover is not to blame; nothing to roll back.",
        runbook="caller-fault",
    ),
    "unknown": Guide(
        title="Failures without a known cause",
        likely_fix="Look at the evidence; when callers that worked before fail, consider rolling back.",
        runbook="unknown-cause",
    ),
}

BY_KIND: dict[AlertKind, Guide] = {
    AlertKind.FAILED_ROLLOVER: Guide(
        title="Rollover is failing",
        likely_fix="Look at the evidence; when callers that worked before fail, consider rolling back.",
        runbook="failed-rollover",
    ),
    AlertKind.FAILURE_SPIKE: Guide(
        title="Unusual failures",
        likely_fix="Look at the evidence. No rollover is known to be the reason.",
        runbook="failure-spike",
    ),
    AlertKind.STRAGGLER: Guide(
        title="Still on the old version",
        likely_fix="Deploy the new version of the key to the callers named, or ask for a waiver.",
        runbook="straggler",
    ),
    AlertKind.NEW_ADOPTER: Guide(
        title="New caller of the old version",
        likely_fix="Give that caller the new version; find where it got the old one.",
        runbook="new-adopter",
    ),
    AlertKind.FLIP_FLOP: Guide(
        title="Caller went back to the old version",
        likely_fix="Look for a second process or a rollback of that caller's deployment.",
        runbook="flip-flop",
    ),
    AlertKind.SUSPECT: Guide(
        title="A stranger uses the old version",
        likely_fix="Treat the old version as leaked until its user is known.",
        runbook="suspect",
    ),
    AlertKind.TELEMETRY: Guide(
        title="We do not see everything",
        likely_fix="Bring the log source back; until then the gate says UNKNOWN.",
        runbook="telemetry",
    ),
    AlertKind.DEADLINE: Guide(
        title="Deadline",
        likely_fix="Move the callers named, or move the deadline; do not retire without a GO.",
        runbook="deadline",
    ),
    AlertKind.DECISION_CHANGED: Guide(
        title="Decision changed",
        likely_fix="See which clause changed it.",
        runbook="decision-changed",
    ),
    AlertKind.POST_RETIREMENT_USE: Guide(
        title="The retired version is still used",
        likely_fix="Enable the old version again if the caller matters; then give it the new one.",
        runbook="post-retirement-use",
    ),
    AlertKind.RESOLVED: Guide(title="Resolved", likely_fix="Nothing more to do.", runbook="resolved"),
}

EMERGENCY_RUNBOOK = "emergency-key-leaked"


def guide_of(alert: Alert) -> Guide:
    """Return the guide of an alert's cause where it has one, else of its kind."""
    return BY_CAUSE.get(alert.cause or "", BY_KIND[alert.kind])


def runbooks() -> frozenset[str]:
    """Return every runbook that an alert may point to."""
    return frozenset({each.runbook for each in (*BY_CAUSE.values(), *BY_KIND.values())} | {EMERGENCY_RUNBOOK})
