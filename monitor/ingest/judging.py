"""Where a claimed partition is read from: a pure ruling on what the store remembers and what the source shows.

Fails closed: wherever records may have been missed, the ruling carries a coverage gap that the gate feels.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.core.evidence import CoverageGap
from monitor.ports import Bounds, Claim, Identity, Partition, Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Read from `offset`. `begin` says that the store must be told so first, with the `gap` where there is one."""

    offset: int
    begin: bool = False
    gap: CoverageGap | None = None


def judge(  # noqa: PLR0911 - one return a case, in the order in which they are tested
    claim: Claim, identity: Identity, bounds: Bounds, *, tail: Tail | None, first: Tail | None, now_ms: int
) -> Ruling:
    """Rule where reading goes on.

    `tail` is what the source has now at `claim.tail.offset`, `first` its first record (for the gap's end); both are
    `None` where the source has no such record or was not asked. A stream of another identity is read from its
    beginning. A shortened one (same identity) is read from its present end, since everything before was counted; one
    whose tail differs goes on at the known offset: re-reading would count twice what did not change.
    """
    if claim.next_offset is None:
        return Ruling(offset=bounds.beginning, begin=True)
    if claim.identity != identity.value:
        if identity.follows:
            return Ruling(offset=bounds.beginning, begin=True)
        why = "it was recreated under its name, or the cluster is another one: what it held and was not read is lost"
        return _with_gap(claim, bounds.beginning, why, until_ms=None, now_ms=now_ms)
    if claim.next_offset > bounds.end:
        why = f"it was truncated: it ends at {bounds.end}, and {claim.next_offset} had been read"
        return _with_gap(claim, bounds.end, why, until_ms=None, now_ms=now_ms)
    if claim.next_offset < bounds.beginning:
        why = f"retention removed offsets {claim.next_offset} to {bounds.beginning - 1} before they were read"
        return _with_gap(
            claim, bounds.beginning, why, until_ms=None if first is None else first.timestamp_ms, now_ms=now_ms
        )
    known = claim.tail
    if known is not None and known.offset >= bounds.beginning and (tail is None or tail.sha256 != known.sha256):
        why = (
            f"the record at offset {known.offset} is not the one that was read: it was truncated and written anew "
            "(or is compacted: gateway logs need cleanup.policy=delete)"
        )
        return _with_gap(claim, claim.next_offset, why, until_ms=None, now_ms=now_ms)
    return Ruling(offset=claim.next_offset)


def tail_to_check(claim: Claim, identity: Identity, bounds: Bounds) -> int | None:
    """Return the offset whose record has to be compared, if `judge` will look at it."""
    if claim.tail is None or claim.identity != identity.value or claim.tail.offset < bounds.beginning:
        return None
    return claim.tail.offset if claim.tail.offset < bounds.end else None


def lost_to_retention(claim: Claim, identity: Identity, bounds: Bounds) -> bool:
    """Return whether retention has passed what was read: then the first remaining record bounds the gap."""
    return claim.next_offset is not None and claim.identity == identity.value and claim.next_offset < bounds.beginning


def _with_gap(claim: Claim, offset: int, why: str, *, until_ms: int | None, now_ms: int) -> Ruling:
    known = claim.tail
    return Ruling(
        offset=offset,
        begin=True,
        gap=CoverageGap(
            topic=claim.partition.topic,
            partition=claim.partition.partition,
            from_ms=None if known is None or known.timestamp_ms < 0 else known.timestamp_ms,
            to_ms=None if until_ms is None or until_ms < 0 else until_ms,
            recorded_at_ms=now_ms,
            reason=why,
        ),
    )


def describe(partition: Partition, ruling: Ruling) -> str:
    """Return what an operator should know about a gap."""
    gap = ruling.gap
    return (
        f"{partition}: {'' if gap is None else gap.reason}. Reading goes on at offset {ruling.offset}; decisions stay "
        "UNKNOWN (C4) while the gap is in their window. If the records exist elsewhere, `rollwatch backfill` them."
    )
