"""Completing outcome and reason where a record gives only part of them (contract: DESIGN section 3)."""

from __future__ import annotations

from monitor.core.events import Outcome, Reason

_REASONS = {each.value: each for each in Reason}
UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS, SERVER_ERROR = 401, 403, 429, 500


def reason_named(text: str | None) -> Reason | None:
    """Return the reason of that name; an unknown name is as good as none."""
    return None if text is None else _REASONS.get(text)


def completed(
    outcome: Outcome | None, reason: Reason | None, *, status: int | None, has_credential: bool
) -> tuple[Outcome, Reason] | None:
    """Return outcome and reason, completed from the HTTP status; `None` where neither outcome nor status is there."""
    if outcome is not None:
        return outcome, reason or _reason_of(outcome, status)
    if status is None:
        return None
    if status == UNAUTHORIZED:
        return Outcome.FAILURE, reason or (Reason.UNKNOWN_CREDENTIAL if has_credential else Reason.MISSING_CREDENTIAL)
    if status == FORBIDDEN:
        return Outcome.FAILURE, reason or Reason.FORBIDDEN
    if status == TOO_MANY_REQUESTS:
        return Outcome.SUCCESS, reason or Reason.RATE_LIMITED
    # "everything else success/ok": an upstream's 500 says nothing against the credential.
    return Outcome.SUCCESS, reason or Reason.OK


def _reason_of(outcome: Outcome, status: int | None) -> Reason:
    if status == FORBIDDEN:
        return Reason.FORBIDDEN
    if status == TOO_MANY_REQUESTS:
        return Reason.RATE_LIMITED
    if status is not None and status >= SERVER_ERROR:
        return Reason.GATEWAY_ERROR
    return Reason.OK if outcome is Outcome.SUCCESS else Reason.OTHER
