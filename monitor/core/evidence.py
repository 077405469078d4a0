"""Evidence: all that the gate may look at, read in one snapshot. Absence is written down, never left out.

`Telemetry` says how far we can trust our eyes and is shared by all rollovers of a tick; `KeyEvidence` is one key's.
Times are epoch ms. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.core.activity import Activity
from monitor.core.rhythm import Folded
from monitor.core.windows import CallerFacts

NOBODY_ASKED = "nobody asked it"
"""Why the detector's silence means nothing, until whoever holds the detector has said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRecord:
    """A caller of one credential in one region, with its days of use."""

    credential: str
    client: str | None
    source: str | None
    region: str | None
    facts: CallerFacts
    activity: Activity
    packed_fold: bytes | None = field(default=None, compare=False)
    """`monitor.core.rhythm.Folded` of the older days, packed, where a store keeps it. Believed only while it holds."""

    def stored_fold(self) -> Folded | None:
        """Return the fold that the store kept, as long as this release can read it."""
        return None if self.packed_fold is None else Folded.unpacked(self.packed_fold)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLiveness:
    """What has arrived of one gateway, by event time.

    `silences` are spans (from, to) without a record: those of a minute or more that end within the last
    `Telemetry.fine_since_ms`, those of an hour or more before. The spans before the first and after the last record
    are not among them: they follow from `first_ms` and `last_ms`.
    """

    gateway: str
    region: str | None
    first_ms: int
    last_ms: int
    silences: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """How far one partition has been read.

    `end_offset` was probed (read uncommitted) at `probed_at_ms`; `complete_through_ms` is the latest probe whose end
    the applied offset has reached: everything that had been written by then is counted. `stopped` says why it stands.
    """

    topic: str
    partition: int
    next_offset: int | None
    end_offset: int | None
    probed_at_ms: int | None
    complete_through_ms: int | None
    stopped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageGap:
    """Records that we know we never saw: retention passed us, a topic was recreated or truncated.

    `from_ms`/`to_ms` bound the event time lost, as far as known; `None` means unknown: then it reaches to
    `recorded_at_ms`.
    """

    topic: str
    partition: int
    from_ms: int | None
    to_ms: int | None
    recorded_at_ms: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCount:
    """Something counted by hour of arrival (rejects) or event time (sampled records)."""

    hour_ms: int
    last_ms: int
    count: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """How far we can trust our eyes, at `now_ms`.

    history_start_ms: the earliest event time from which on records were taken in; `None` before the first record.
    rejects: per hour of arrival and reason (`detail`). sampled: per hour and gateway (`detail`).
    expected_partitions: per registered topic, what the broker says; a topic that could not be asked maps to `None`.
    In a replay, `partitions` is empty and `replayed` is true: ingest is complete up to the checkpoint.
    """

    now_ms: int
    history_start_ms: int | None
    fine_since_ms: int
    partitions: tuple[PartitionStatus, ...] = ()
    expected_partitions: Mapping[str, int | None] = field(default_factory=dict)
    gateways: tuple[GatewayLiveness, ...] = ()
    gaps: tuple[CoverageGap, ...] = ()
    ledger_faults: tuple[str, ...] = ()
    rejects: tuple[HourCount, ...] = ()
    sampled: tuple[HourCount, ...] = ()
    unregistered: tuple[CallerRecord, ...] = ()
    """Callers whose credential has successes and is not in the registry; `""` stands for successes without any."""
    unregistered_gateways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where these credentials succeeded, as far as known: an unmanaged gateway excuses what succeeds only there."""
    clock_skew_ms: int | None = None
    """Difference between the database's clock and ours; `None` where it could not be measured."""
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCounts:
    """Requests (weighted) of one credential in a stretch of time. Rate limiting is not a rejection."""

    accepted: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """An incident on the key that has not been closed."""

    incident: str
    version: int
    cause: str
    opened_at_ms: int
    summary: str
    holds_gate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that the gate must feel: a policy, or the credentials of a version."""

    at_ms: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvidence:
    """What is stored about one key: every caller of every registered credential of it, over all time.

    last_day: requests per credential in the 24 hours before `Telemetry.now_ms`.
    before_start: per credential, requests in the 7 days before the rollover's start (the old version's own baseline).
    changes: of the rollover's policy and the key's credentials, the first import left out.
    state: the rollover's lifecycle state; detector: `None` when the model is ready, else why it is not.
    """

    key: str
    callers: tuple[CallerRecord, ...] = ()
    last_day: Mapping[str, RequestCounts] = field(default_factory=dict)
    before_start: Mapping[str, RequestCounts] = field(default_factory=dict)
    incidents: tuple[OpenIncident, ...] = ()
    changes: tuple[Change, ...] = ()
    state: str = "overlap"
    never_used_acknowledged_by: str | None = None
    detector: str | None = NOBODY_ASKED
