"""The vocabulary of one authentication: what a mapping makes of a gateway's record, or why it could not.

First step of the path: bytes -> `AuthEvent` | `Rejected`. Secrets do not get past this point.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """Whether the gateway accepted the credential. Authentication only: a 429 or an upstream's 500 is `SUCCESS`."""

    SUCCESS = "success"
    FAILURE = "failure"


class Reason(StrEnum):
    """Why (contract: DESIGN section 3). `OK`, `RATE_LIMITED` and `GATEWAY_ERROR` may go with either outcome."""

    OK = "ok"
    MISSING_CREDENTIAL = "missing_credential"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a reason, not a secret
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_YET_ACTIVE = "not_yet_active"
    FORBIDDEN = "forbidden"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    GATEWAY_ERROR = "gateway_error"
    OTHER = "other"


NOT_SERVED = frozenset({Reason.RATE_LIMITED, Reason.GATEWAY_ERROR})
"""Accepted, not served: use of a version (C6, last seen), never proof of it (C1, `migrated`, `min_sightings`)."""

VERSION_REASONS = frozenset(
    {Reason.UNKNOWN_CREDENTIAL, Reason.WRONG_SECRET, Reason.EXPIRED, Reason.REVOKED, Reason.NOT_YET_ACTIVE}
)
"""Rejections that say something of the key's version itself, not of the request or the route."""


class AuthEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One authentication, or `count` alike: validated, free of secrets.

    `ts_ms` is the event time, epoch milliseconds, UTC. `credential` is an id, a gateway's hash or our fingerprint.
    `client` is the principal, `source` where it calls from; both as the gateway saw them, so untrusted text.
    `ts_suspect` marks an event time ahead of its arrival by more than the allowed clock skew; it is then counted at
    its arrival. `route` has no query string.
    """

    ts_ms: int
    outcome: Outcome
    reason: Reason
    gateway: str
    credential: str | None = None
    client: str | None = None
    source: str | None = None
    region: str | None = None
    route: str | None = None
    method: str | None = None
    status: int | None = None
    event_id: str | None = None
    count: int = 1
    sample_rate: float = 1.0
    ts_suspect: bool = False


class RejectReason(StrEnum):
    """Why an element was not an event (contract: DESIGN section 3)."""

    OVERSIZE = "oversize"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    DUPLICATE_FIELD = "duplicate_field"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_VALUE = "bad_value"
    BAD_TIME = "bad_time"
    BAD_TEXT = "bad_text"
    UNMAPPED = "unmapped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An element that could not be read: why, the SHA-256 of its bytes, and a redacted sample (never the payload)."""

    reason: RejectReason
    sha256: str
    sample: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row of `v_rejects`: a rejected element and where it stood. `index` is its place in an exploded array."""

    offset: int
    index: int
    reason: RejectReason
    sha256: str
    sample: str
    arrival_ms: int
