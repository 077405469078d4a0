"""The roster: every caller ever seen on the old version, with its standing; none drops out by age.

`CallerCache` makes a tick cost what changed: a caller whose counts did not change, under the same rules and coverage,
is not looked at again before `Standing.holds_until_ms`. A cache never changes an answer, only what it costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from monitor.core.activity import Day
from monitor.core.callers.profile import profile
from monitor.core.callers.standing import FOREVER_MS, Rules, Standing, covers, stand
from monitor.core.coverage import Coverage, cover
from monitor.core.decision import Blocker, CallerState
from monitor.core.evidence import CallerRecord, Telemetry
from monitor.core.instants import DAY_MS
from monitor.core.policy import Policy
from monitor.core.registry import Noise, Registry
from monitor.core.rhythm import Folded
from monitor.core.windows import CallerFacts

_Who = tuple[str | None, str | None]
_Print = tuple[object, ...]
_Credentials = tuple[frozenset[str], frozenset[str]]


@dataclass(slots=True)
class Entry:
    """A caller with what was computed of it. `blocker` is C7's, made once a standing."""

    standing: Standing
    digest: bytes
    folded: Folded
    prints: _Print
    blind_until_ms: int
    old: Sequence[CallerRecord]
    at_ms: int
    remarkable: bool
    """It failed on the new version once, or bore a time that cannot be trusted: C8 and C9 look at it."""
    blocker: Blocker | None = None


@dataclass(slots=True)
class _Grouped:
    """Records by caller. Reused while the very same tuple of records is given: their facts may grow in place."""

    callers: Sequence[CallerRecord]
    old: dict[_Who, list[CallerRecord]]
    new: dict[_Who, list[CallerRecord]]


@dataclass(slots=True)
class _Page:
    rules: Rules
    credentials: _Credentials
    entries: dict[_Who, Entry] = field(default_factory=dict)
    order: list[_Who] = field(default_factory=list)
    grouped: _Grouped | None = None
    folds: dict[_Who, Folded] = field(default_factory=dict)
    """What is left of earlier rules: the past is the same under all of them."""


@dataclass(slots=True)
class CallerCache:
    """What was computed of callers, by rollover and region. Give the same one to each `decide` of a loop."""

    _pages: dict[tuple[str, str | None], _Page] = field(default_factory=dict)
    _telemetry: Telemetry | None = None
    _registry: Registry | None = None
    _coverage: dict[tuple[int, int, str | None], Coverage] = field(default_factory=dict)

    def coverage(self, telemetry: Telemetry, registry: Registry, policy: Policy, region: str | None) -> Coverage:
        """Return the coverage, computed once a tick for all rollovers that look back equally far."""
        if telemetry is not self._telemetry or registry is not self._registry:
            self._telemetry, self._registry = telemetry, registry
            self._coverage = {}
        key = (policy.quiet_window_ms, policy.max_silence_ms, region)
        found = self._coverage.get(key)
        if found is None:
            found = self._coverage[key] = cover(telemetry, registry, policy, region)
        return found

    def page(self, rollover: str, region: str | None, rules: Rules, credentials: _Credentials) -> _Page:
        """Return the page to work on; under other rules it begins anew, but for the folded past."""
        found = self._pages.get((rollover, region))
        if found is None or found.credentials != credentials:
            found = self._pages[rollover, region] = _Page(rules=rules, credentials=credentials)
        elif found.rules != rules:
            folds = found.folds | {who: each.folded for who, each in found.entries.items()}
            found = self._pages[rollover, region] = _Page(rules=rules, credentials=credentials, folds=folds)
        return found

    def forget(self, rollover: str) -> None:
        """Drop everything about a rollover (it is over)."""
        for key in [key for key in self._pages if key[0] == rollover]:
            del self._pages[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """All callers of the old version, in the order of their names."""

    entries: tuple[Entry, ...]
    uncleared: tuple[Entry, ...]
    """Those that hold the gate."""
    remarkable: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Standing]:
        """Yield the standings in order."""
        return (entry.standing for entry in self.entries)

    def __len__(self) -> int:
        """Return the number of callers."""
        return len(self.entries)

    def digest(self) -> str:
        """Return SHA-256 over all callers' facts and standings, whatever order they arrived in."""
        return sha256(b"".join(entry.digest for entry in self.entries)).hexdigest()


def survey(
    callers: Sequence[CallerRecord],
    *,
    old_credentials: frozenset[str],
    new_credentials: frozenset[str],
    rules: Rules,
    now_ms: int,
    blind_until_ms: int,
    rollover: str,
    region: str | None = None,
    cache: CallerCache | None = None,
) -> Roster:
    """Return the roster of one rollover, in one region where given.

    In a region a success elsewhere proves nothing, and a use without a region may have happened there.
    """
    page = (cache or CallerCache()).page(rollover, region, rules, (old_credentials, new_credentials))
    grouped = page.grouped
    if grouped is None or grouped.callers is not callers:
        grouped = page.grouped = _grouped(callers, old_credentials, new_credentials, region)
    known = page.entries
    fresh = False
    strangers = 0
    for who, records in grouped.old.items():
        proofs = grouped.new.get(who, ())
        prints = _prints(records, proofs)
        if not prints[0]:
            # only ever rejected on the old version: it has nothing to lose there, and may be anybody
            strangers += 1
            continue
        entry = known.get(who)
        if (
            entry is None
            or entry.prints != prints
            or entry.blind_until_ms != blind_until_ms
            or not entry.at_ms <= now_ms < entry.standing.holds_until_ms
            or entry.standing.noise
            or who[0] in rules.noise_of
        ):
            fresh = fresh or entry is None
            if (
                entry is not None
                and entry.at_ms <= now_ms < entry.standing.holds_until_ms
                and entry.blind_until_ms == blind_until_ms
                and not entry.standing.noise
                and who[0] not in rules.noise_of
                and _only_proofs_grew(entry, prints, proofs)
            ):
                entry.prints = prints
                continue
            known[who] = _entry(
                records, proofs, rules, now_ms, blind_until_ms, prints, entry, page.folds.pop(who, None)
            )
    if len(known) != len(grouped.old) - strangers:
        for gone in [who for who in known if not any(each.facts.accepted for each in grouped.old.get(who, ()))]:
            del known[gone]
        fresh = True
    if fresh:
        page.order = sorted(known, key=_by_name)
    entries = tuple([known[who] for who in page.order])
    return Roster(
        entries=entries,
        uncleared=tuple([entry for entry in entries if not entry.standing.cleared]),
        remarkable=tuple([entry for entry in entries if entry.remarkable]),
    )


def _grouped(
    callers: Sequence[CallerRecord],
    old_credentials: frozenset[str],
    new_credentials: frozenset[str],
    region: str | None,
) -> _Grouped:
    old: dict[_Who, list[CallerRecord]] = {}
    new: dict[_Who, list[CallerRecord]] = {}
    for record in callers:
        if record.credential in old_credentials:
            if region is None or record.region in (None, region):
                old.setdefault((record.client, record.source), []).append(record)
        elif record.credential in new_credentials and (region is None or record.region == region):
            new.setdefault((record.client, record.source), []).append(record)
    return _Grouped(callers=callers, old=old, new=new)


def _prints(old: Sequence[CallerRecord], new: Sequence[CallerRecord]) -> _Print:
    """Return what changes with every event of the caller (counts only grow): accepted on the old version first."""
    if len(old) == 1 and len(new) == 1:
        one, two = old[0].facts, new[0].facts
        return (
            one.accepted,
            (one.served, one.rejected, one.first_accepted_ms, one.last_accepted_ms, one.last_rejected_ms),
            (two.accepted, two.served, two.rejected, two.first_served_ms, two.last_served_ms, two.last_rejected_ms),
        )
    return (
        sum([record.facts.accepted for record in old]),
        tuple([_print(record.facts) for record in old]),
        tuple([_print(record.facts) for record in new]),
    )


def _print(facts: CallerFacts) -> tuple[int | None, ...]:
    return (
        facts.accepted,
        facts.served,
        facts.rejected,
        facts.first_accepted_ms,
        facts.first_served_ms,
        facts.last_accepted_ms,
        facts.last_rejected_ms,
    )


def _only_proofs_grew(entry: Entry, prints: _Print, new: Sequence[CallerRecord]) -> bool:
    """Return whether a migrated caller just went on using the new version, which changes nothing about it.

    Its `new_last_ms` then stays as it was: exact as of the last look, which no answer depends on.
    """
    who = entry.standing.profile
    return (
        entry.standing.state is CallerState.MIGRATED
        and entry.prints[:2] == prints[:2]
        and min((each.facts.first_served_ms or FOREVER_MS for each in new), default=None) == who.new_first_ms
        and max((each.facts.last_rejected_ms or 0 for each in new), default=0) == (who.new_failed_ms or 0)
        and not who.fails_on_new
    )


def _entry(  # noqa: PLR0917 - the inner step of `survey`, called per caller: plain and fast
    old: Sequence[CallerRecord],
    new: Sequence[CallerRecord],
    rules: Rules,
    now_ms: int,
    blind_until_ms: int,
    prints: _Print,
    known: Entry | None,
    folded: Folded | None,
) -> Entry:
    if known is not None and known.prints == prints:
        who, folded = known.standing.profile, known.folded
    else:
        old, new = sorted(old, key=_by_record), sorted(new, key=_by_record)
        who, folded = profile(old, new, rules.policy, folded if known is None else known.folded)
    noise = who.client is not None and _within_cap(rules.noise_of.get(who.client, ()), old, rules, now_ms)
    standing = stand(who, rules, now_ms=now_ms, blind_until_ms=blind_until_ms, noise=noise)
    if known is not None and standing == known.standing and known.at_ms <= now_ms:
        known.prints, known.blind_until_ms, known.folded = prints, blind_until_ms, folded
        return known
    return Entry(
        standing=standing,
        digest=_digest(standing),
        folded=folded,
        prints=prints,
        blind_until_ms=blind_until_ms,
        old=old,
        at_ms=now_ms,
        remarkable=who.new_failed_ms is not None or who.last_suspect_ms is not None,
    )


def _digest(standing: Standing) -> bytes:
    """Return SHA-256 over what decided about the caller: of a migrated one not what it did on the new version since."""
    who = standing.profile
    facts = (who.client, who.source, who.first_used_ms, who.last_sign_ms, who.last_suspect_ms, who.new_failed_ms)
    if standing.state is CallerState.MIGRATED:
        return sha256(repr((standing.state.value, facts)).encode()).digest()
    rhythm = (who.accepted, who.longest_gap_ms, who.sightings, who.new_first_ms, standing.clears_at_ms)
    return sha256(repr((standing.state.value, standing.noise, facts, rhythm)).encode()).digest()


def _within_cap(registered: Sequence[Noise], old: Sequence[CallerRecord], rules: Rules, now_ms: int) -> bool:
    """Return whether a valid noise entry covers the caller and no day of the quiet window exceeds its cap."""
    caps = [
        each.max_per_day
        for each in registered
        if each.source in (None, old[0].source) and (each.until_ms is None or now_ms < each.until_ms)
    ]
    if not caps:
        return False
    since = (now_ms - rules.policy.quiet_window_ms) // DAY_MS
    uses: dict[int, int] = {}
    for record in old:
        day: Day
        for day in record.activity.since(since):
            uses[day.day] = uses.get(day.day, 0) + day.uses
    return max(uses.values(), default=0) <= max(caps)


def _by_name(who: _Who) -> tuple[bool, str, bool, str]:
    return who[0] is None, who[0] or "", who[1] is None, who[1] or ""


def _by_record(record: CallerRecord) -> tuple[str, bool, str]:
    return record.credential, record.region is None, record.region or ""


__all__ = ["CallerCache", "Entry", "Roster", "Rules", "covers", "survey"]
