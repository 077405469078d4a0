"""What the detector is fed: aggregated usage rows and registry facts. It knows no store and no broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

OK = "ok"
SUCCESS = "success"
FAILURE = "failure"

NOT_SERVED = frozenset({"rate_limited", "gateway_error"})
"""Accepted, not served: volume of a version, never proof of it, and a failure class of its own for the detector."""

VERSION_REASONS = frozenset({"unknown_credential", "wrong_secret", "expired", "revoked", "not_yet_active"})
"""Rejections that speak of the key's version itself, not of the request or its route."""


class UsageRow(NamedTuple):
    """One aggregate: `requests` like authentications within the 60 s from `bucket` (epoch seconds).

    A named tuple, not a dataclass: rows come by the million and a row of a SQL result or a `Counter` key can be used
    as one with `UsageRow(*row)`. `client` is None for a caller nobody knows (such failures go to a counter of their
    own); `route` and `source` may be None or empty where they are not kept. Successes may be merged over routes: the
    features that use the route then stay neutral.
    """

    bucket: int
    key: str
    version: int
    client: str | None
    source: str | None
    gateway: str
    region: str | None
    route: str | None
    outcome: str
    reason: str
    requests: int


def epoch_seconds(at: datetime) -> int:
    """Whole epoch seconds of an aware time. Raises `ValueError` for a naive one: a local clock has no place here."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone: give an aware time")
    return int(at.timestamp())


def from_epoch(seconds: float) -> datetime:
    """Return the aware UTC time of epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What the registry says of one key version."""

    version: int
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloverFacts:
    """What the registry says of one rollover. Times that are still ahead of the look are ignored by the detector."""

    rollover: str
    from_version: int
    to_version: int
    started_at: datetime
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """One key of the registry: its versions and its rollovers, in any order."""

    key: str
    versions: tuple[VersionFacts, ...] = ()
    rollovers: tuple[RolloverFacts, ...] = ()
