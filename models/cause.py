"""The causes of an incident, and which of them are no fault of the rollover."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Causes of an incident (DESIGN section 8)."""

    PROPAGATION_DELAY = "propagation_delay"
    STALE_GATEWAY = "stale_gateway"
    EARLY_REVOCATION = "early_revocation"
    PREMATURE_EXPIRY = "premature_expiry"
    SCOPE_LOSS = "scope_loss"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a cause, not a secret
    WRONG_ENVIRONMENT = "wrong_environment"
    RETRY_STORM = "retry_storm"
    RATE_LIMITED = "rate_limited"
    CREDENTIAL_STUFFING = "credential_stuffing"
    UPSTREAM_OUTAGE = "upstream_outage"
    CLIENT_OUTAGE = "client_outage"
    CALLER_FAULT = "caller_fault"
    UNKNOWN = "unknown"


NOT_THE_ROLLOVER = frozenset(
    {Cause.CALLER_FAULT, Cause.CREDENTIAL_STUFFING, Cause.UPSTREAM_OUTAGE, Cause.CLIENT_OUTAGE}
)
"""Causes for which the rollover is not to blame: told to the owner, no gate stopped, no roll-back advised."""
