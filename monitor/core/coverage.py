"""Coverage: where our eyes were shut. Spans without records per gateway, and the end of the last blind hour.

Feeds C3 (is every gateway heard?), C7 (how far back does history reach?) and observed silence (DESIGN §6, §7).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from monitor.core.evidence import GatewayLiveness, HourCount, Telemetry
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.policy import Policy
from monitor.core.registry import Gateway, Registry, Unmanaged

EVER_MS = 1 << 62
"""Farther than any time on either side."""

Span = tuple[int, int]

_NO_HISTORY_MS = 3 * DAY_MS
"""A silence of all gateways together for longer than this is no outage: history begins anew after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A gateway that must be heard, and the spans (from, to) in which it was not, open to both sides of time."""

    gateway: str
    region: str | None
    max_silence_ms: int
    from_ms: int
    until_ms: int
    registered: bool
    heard: bool
    last_ms: int | None
    silent: tuple[Span, ...]

    def longest_silence(self, from_ms: int, until_ms: int) -> Span | None:
        """Return the longest span without a record between two moments in which the gateway exists.

        `None` where it does not exist in that time.
        """
        from_ms, until_ms = max(from_ms, self.from_ms), min(until_ms, self.until_ms)
        if from_ms >= until_ms:
            return None
        first = bisect_right(self.silent, from_ms, key=itemgetter(1))
        longest = (0, 0)
        for start, end in islice(self.silent, first, None):
            if start >= until_ms:
                break
            start, end = max(start, from_ms), min(end, until_ms)  # noqa: PLW2901 - clipped to the window
            if end - start >= longest[1] - longest[0]:
                longest = start, end
        return longest

    def silences(self, from_ms: int, until_ms: int) -> list[Span]:
        """Return the spans without a record between two moments that are longer than is allowed, in order."""
        from_ms, until_ms = max(from_ms, self.from_ms), min(until_ms, self.until_ms)
        first = bisect_right(self.silent, from_ms, key=itemgetter(1))
        clipped = ((max(start, from_ms), min(end, until_ms)) for start, end in islice(self.silent, first, None))
        return [each for each in clipped if each[1] - each[0] > self.max_silence_ms]

    def __str__(self) -> str:
        """Return `gateway` or `gateway in region`."""
        return self.gateway if self.region is None else f"{self.gateway} in {self.region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How well the window was watched. `blind_until_ms` is 0 where no gap of an hour or more is known.

    strangers: gateways heard in the window that nobody registered. history_start_ms: from when on history is whole
    enough to say "every caller ever seen"; `None` before the first record.
    """

    watches: tuple[Watch, ...]
    strangers: tuple[GatewayLiveness, ...]
    outlived: tuple[Watch, ...]
    blind_until_ms: int
    blind_because: str | None
    history_start_ms: int | None


def cover(telemetry: Telemetry, registry: Registry, policy: Policy, region: str | None) -> Coverage:
    """Return the coverage at `telemetry.now_ms`, of one region's gateways where given."""
    now = telemetry.now_ms
    window_from = now - policy.quiet_window_ms
    unmanaged = unmanaged_gateways(registry.unmanaged, now)
    heard = [each for each in telemetry.gateways if each.gateway not in unmanaged]
    registered = [each for each in registry.gateways if each.gateway not in unmanaged]
    if registered:
        watches, matched = _registered(registered, heard, policy)
    else:
        watches, matched = [_implied(each, policy) for each in heard], set(range(len(heard)))
    if region is not None:
        watches = [each for each in watches if each.region in (None, region)]
    strangers = tuple(
        each
        for index, each in enumerate(heard)
        if index not in matched and each.last_ms >= window_from and (region is None or each.region in (None, region))
    )
    blind_until, because = _blind_until(telemetry, watches, unmanaged)
    return Coverage(
        watches=tuple(watches),
        strangers=strangers,
        outlived=tuple(
            each
            for each in watches
            if each.last_ms is not None and each.last_ms > each.until_ms + each.max_silence_ms and each.until_ms <= now
        ),
        blind_until_ms=blind_until,
        blind_because=because,
        history_start_ms=_history_start(telemetry, max((each.max_silence_ms for each in watches), default=0)),
    )


def unmanaged_gateways(unmanaged: Iterable[Unmanaged], now_ms: int) -> frozenset[str]:
    """Return the gateways that are knowingly not under rotation now."""
    return frozenset(
        each.gateway
        for each in unmanaged
        if each.gateway is not None and (each.until_ms is None or now_ms < each.until_ms)
    )


def _registered(
    gateways: Sequence[Gateway], heard: Sequence[GatewayLiveness], policy: Policy
) -> tuple[list[Watch], set[int]]:
    """Return a watch per registered gateway, and which of those heard belong to one.

    A registration without a region takes all regions of that name together. Records without a region belong to the
    registration of that name where there is only one.
    """
    names = [each.gateway for each in gateways]
    matched: set[int] = set()
    watches: list[Watch] = []
    for gateway in gateways:
        alone = names.count(gateway.gateway) == 1
        mine = [
            index
            for index, each in enumerate(heard)
            if each.gateway == gateway.gateway
            and (each.region == gateway.region or gateway.region is None or (each.region is None and alone))
        ]
        matched.update(mine)
        watches.append(_watch(gateway, [heard[index] for index in mine], policy))
    return watches, matched


def _watch(gateway: Gateway, heard: Sequence[GatewayLiveness], policy: Policy) -> Watch:
    silent: list[Span] = [(-EVER_MS, EVER_MS)]
    for each in heard:
        # one gateway alone, as nearly all are, needs no cutting to size
        silent = spans(each) if len(heard) == 1 else intersect(silent, spans(each))
    return Watch(
        gateway=gateway.gateway,
        region=gateway.region,
        max_silence_ms=policy.max_silence_ms if gateway.max_silence_ms is None else gateway.max_silence_ms,
        from_ms=-EVER_MS if gateway.from_ms is None else gateway.from_ms,
        until_ms=EVER_MS if gateway.until_ms is None else gateway.until_ms,
        registered=True,
        heard=bool(heard),
        last_ms=max((each.last_ms for each in heard), default=None),
        silent=tuple(silent),
    )


def _implied(heard: GatewayLiveness, policy: Policy) -> Watch:
    """Return a watch for a gateway that was heard where none is registered: it must be heard from then on."""
    return Watch(
        gateway=heard.gateway,
        region=heard.region,
        max_silence_ms=policy.max_silence_ms,
        from_ms=heard.first_ms,
        until_ms=EVER_MS,
        registered=False,
        heard=True,
        last_ms=heard.last_ms,
        silent=tuple(spans(heard)),
    )


def spans(heard: GatewayLiveness) -> list[Span]:
    """Return all spans without a record, before the first and after the last one included, in order."""
    return [(-EVER_MS, heard.first_ms), *sorted(heard.silences), (heard.last_ms, EVER_MS)]


def intersect(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return the spans that lie in both; both in order and free of overlaps."""
    made: list[Span] = []
    left = right = 0
    while left < len(one) and right < len(other):
        start = max(one[left][0], other[right][0])
        end = min(one[left][1], other[right][1])
        if start < end:
            made.append((start, end))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return made


def runs(hours: Iterable[HourCount], *, bridge_ms: int) -> list[Span]:
    """Return stretches of counted hours, those at most `bridge_ms` apart taken as one, from the first's start on.

    A first hour with a single count begins at that one.
    """
    made: list[Span] = []
    for hour in sorted(hours, key=lambda each: (each.hour_ms, each.last_ms)):
        begin = hour.last_ms if hour.count == 1 else hour.hour_ms
        if made and hour.hour_ms - made[-1][1] <= bridge_ms:
            made[-1] = (made[-1][0], max(made[-1][1], hour.last_ms))
        else:
            made.append((begin, hour.last_ms))
    return made


def _blind_until(telemetry: Telemetry, watches: Sequence[Watch], unmanaged: frozenset[str]) -> tuple[int, str | None]:
    """Return the end of the last coverage gap of an hour or more, and what it was."""
    now = telemetry.now_ms
    found: list[tuple[int, str]] = []
    began = telemetry.history_start_ms
    for watch in watches:
        begin = max(watch.from_ms, -EVER_MS if began is None else began)
        least = max(HOUR_MS, watch.max_silence_ms + 1)
        for start, end in reversed(watch.silent):
            start, end = max(start, begin), min(end, watch.until_ms, now)  # noqa: PLW2901 - clipped to its lifetime
            if end - start >= least:
                found.append((end, f"gateway {watch} was silent"))
                break
    for gap in telemetry.gaps:
        end = gap.recorded_at_ms if gap.to_ms is None else gap.to_ms
        if gap.from_ms is None or end - gap.from_ms >= HOUR_MS:
            found.append((end, f"records of {gap.topic}:{gap.partition} were lost"))
    gateways = {each.detail for each in telemetry.sampled} - unmanaged
    for gateway in sorted(gateways):
        sampled = [each for each in telemetry.sampled if each.detail == gateway]
        # a sampled record says that others of its hour were left out: the whole hour is blind
        found += [(end, f"gateway {gateway} was sampled") for _, end in runs(sampled, bridge_ms=DAY_MS)]
    found += [
        (end, "records were rejected")
        for start, end in runs(telemetry.rejects, bridge_ms=HOUR_MS)
        if end - start >= HOUR_MS
    ]
    latest = max(found, default=None)
    return (0, None) if latest is None else (min(latest[0], now), latest[1])


def _history_start(telemetry: Telemetry, longest_allowed_ms: int) -> int | None:
    """Return from when on history is whole: a stray early record does not make the months after it covered."""
    if telemetry.history_start_ms is None or not telemetry.gateways:
        return telemetry.history_start_ms
    least = max(_NO_HISTORY_MS, longest_allowed_ms)
    silent: list[Span] = [(-EVER_MS, EVER_MS)]
    for heard in telemetry.gateways:
        silent = intersect(silent, [span for span in spans(heard) if span[1] - span[0] > least])
    ends = [end for start, end in silent if start > -EVER_MS and end < EVER_MS and end - start > least]
    return max([telemetry.history_start_ms, *ends])
