"""What is known of one caller of the old version, whatever the time: the numbers that the states are made of.

Incremental: days before the last two that an activity holds are folded once and kept (`Folded`), and folded anew only
when something arrived late for one of them. Nothing here depends on the time of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.core.evidence import CallerRecord
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.policy import Policy
from monitor.core.rhythm import Folded, Rhythm, days_of, lowest
from monitor.core.windows import SLOT_MS, earlier, later

_PROCESS_FACTOR = 12
"""A second process has had its turn after this many of its mean gaps (contract: DESIGN §6)."""
_SINGLE_USE_FACTOR = 3
IRREGULAR_FACTOR = 3
IRREGULAR_SIGHTINGS = 10
REGULAR_VARIATION = 0.2
_DAILY_MS = 20 * HOUR_MS
_LOOK_FOR_RETURN_MS = 10 * DAY_MS
_RECENT_DAYS, _RECENT_SIGHTINGS, _LONG_DAYS = 7, 4, 100
_UNSETTLED_DAYS = 2
"""The last days that an activity holds still change as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A caller of the old version. Times are event times, epoch ms.

    last_sign_ms: its last use or rejected attempt with the old version. new_since_last_ms: the first success on the
    new version after that, at the latest. silence_ms: how long it must be silent to count as migrated.
    gone_silence_ms: how long observed silence must last until it counts as gone; `None` when it never will, because it
    fails on the new version. known_rhythm is false for `unknown_cadence`.
    """

    client: str | None
    source: str | None
    first_used_ms: int
    last_used_ms: int
    last_sign_ms: int
    last_arrival_ms: int | None
    last_suspect_ms: int | None
    accepted: int
    new_first_ms: int | None
    new_last_ms: int | None
    new_failed_ms: int | None
    seen_on_new: bool
    new_since_last_ms: int | None
    longest_gap_ms: int
    sightings: int
    variation: float | None
    known_rhythm: bool
    silence_ms: int
    gone_silence_ms: int | None
    next_expected_ms: int
    overdue_ms: int
    requests_per_day: float
    returned_ms: int | None
    week: tuple[int, ...]
    """Per day of the week (Monday first), the half hours (bits) in which it was ever served on the old version."""

    @property
    def migrated_at_ms(self) -> int | None:
        """Return when it counts as migrated if it does not use the old version again; `None` when not by waiting."""
        if self.new_since_last_ms is None:
            return None
        return self.last_sign_ms + self.silence_ms

    @property
    def fails_on_new(self) -> bool:
        """Return whether it was rejected on the new version and has not succeeded there since."""
        return self.new_failed_ms is not None and (self.new_last_ms is None or self.new_failed_ms > self.new_last_ms)


def profile(
    old: Sequence[CallerRecord], new: Sequence[CallerRecord], policy: Policy, folded: Folded | None = None
) -> tuple[Profile, Folded]:
    """Return the profile of a caller from its records on the old version (at least one use) and on the new ones."""
    used = _facts(old)
    proven = _facts(new)
    if used.first_accepted_ms is None or used.last_accepted_ms is None:
        raise ValueError("a caller without a use of the old version has no profile")
    last_used = used.last_accepted_ms
    last_sign = max(last_used, used.last_rejected_ms or last_used)
    folded, rhythm = _fold(old, folded)
    after = _first_after(new, last_sign, proven.first_served_ms, proven.last_served_ms)
    fails = proven.last_rejected_ms is not None and (
        proven.last_served_ms is None or proven.last_rejected_ms > proven.last_served_ms
    )
    variation = rhythm.variation
    known, gone = _gone_silence(rhythm, variation, policy)
    silence = _migrated_silence(old, rhythm, last_used, proven.first_served_ms, policy)
    silence = max(silence, _credentials_silent_from(old, policy) - last_sign)
    if after is not None:
        silence = max(silence, after + policy.settle_ms - last_sign)
    expected = _next_expected(rhythm, variation, last_used)
    return Profile(
        client=old[0].client,
        source=old[0].source,
        first_used_ms=used.first_accepted_ms,
        last_used_ms=last_used,
        last_sign_ms=last_sign,
        last_arrival_ms=used.last_arrival_ms,
        last_suspect_ms=used.last_suspect_ms,
        accepted=used.accepted,
        new_first_ms=proven.first_served_ms,
        new_last_ms=proven.last_served_ms,
        new_failed_ms=proven.last_rejected_ms,
        seen_on_new=proven.first_accepted_ms is not None,
        new_since_last_ms=after,
        longest_gap_ms=rhythm.longest_gap_ms,
        sightings=rhythm.sightings,
        variation=variation,
        known_rhythm=known,
        silence_ms=silence,
        gone_silence_ms=None if fails else gone,
        next_expected_ms=expected,
        overdue_ms=max(expected, last_used + rhythm.longest_gap_ms),
        requests_per_day=_requests_per_day(old, rhythm, used.first_accepted_ms, last_used),
        returned_ms=_returned(old, new, proven.first_served_ms, last_used, policy),
        week=tuple(rhythm.week),
    ), folded


@dataclass(slots=True)
class _Sum:
    accepted: int = 0
    first_accepted_ms: int | None = None
    last_accepted_ms: int | None = None
    first_served_ms: int | None = None
    last_served_ms: int | None = None
    last_rejected_ms: int | None = None
    last_arrival_ms: int | None = None
    last_suspect_ms: int | None = None


def _facts(records: Sequence[CallerRecord]) -> _Sum:
    made = _Sum()
    for record in records:
        facts = record.facts
        made.accepted += facts.accepted
        made.first_accepted_ms = earlier(made.first_accepted_ms, facts.first_accepted_ms)
        made.last_accepted_ms = later(made.last_accepted_ms, facts.last_accepted_ms)
        made.first_served_ms = earlier(made.first_served_ms, facts.first_served_ms)
        made.last_served_ms = later(made.last_served_ms, facts.last_served_ms)
        made.last_rejected_ms = later(made.last_rejected_ms, facts.last_rejected_ms)
        made.last_arrival_ms = later(made.last_arrival_ms, facts.last_arrival_ms)
        made.last_suspect_ms = later(made.last_suspect_ms, facts.last_suspect_ms)
    return made


def _fold(old: Sequence[CallerRecord], folded: Folded | None) -> tuple[Folded, Rhythm]:
    """Return the settled part and the whole rhythm, going on from what is settled already: here, or by the store."""
    activities = [record.activity for record in old]
    if folded is None or not folded.holds(activities):
        folded = old[0].stored_fold() if len(old) == 1 else None
        if folded is None or not folded.holds(activities):
            folded = Folded.nothing(len(old))
    days = list(days_of(activities, folded.until_day))
    if len(days) > _UNSETTLED_DAYS:
        folded = folded.until(days[-_UNSETTLED_DAYS].day, activities)
        days = days[-_UNSETTLED_DAYS:]
    whole = folded.rhythm.copy()
    for day in days:
        whole.add(day)
    return folded, whole


def _uses_since(old: Sequence[CallerRecord], since_ms: int) -> tuple[int, int | None]:
    """Return in how many half hours from a moment on there was use, at least, and when the first was, at the earliest.

    Of the moment's own half hour nothing is certain, unless the day began after the moment.
    """
    uses, first_ms = 0, None
    for day in days_of([record.activity for record in old], since_ms // DAY_MS):
        if day.first_ms >= since_ms:
            count, begun_ms = max(1, day.slots.bit_count()), day.first_ms
        elif day.last_ms < since_ms:
            continue
        else:
            skipped = (since_ms - day.day * DAY_MS) // SLOT_MS + 1
            rest = day.slots >> skipped
            count, begun_ms = rest.bit_count(), day.day * DAY_MS + (skipped + lowest(rest)) * SLOT_MS
        if count and first_ms is None:
            first_ms = begun_ms
        uses += count
    return uses, first_ms


def _migrated_silence(
    old: Sequence[CallerRecord], rhythm: Rhythm, last_used: int, new_first_ms: int | None, policy: Policy
) -> int:
    """Return min(quiet_window, max(settle, gap_factor x longest gap, 12 x mean gap of old uses since the new)).

    The mean gap is taken both from the first success on the new version on and between these uses alone, and the
    larger one counts; a burst within half an hour is one use: fifty requests of one nightly run say nothing of nights.
    A single use has no gap to the next: one that came over an hour after the move may be the first of a process that
    comes every other day, and asks for three times `settle`.
    """
    needed = max(policy.settle_ms, int(policy.gap_factor * rhythm.longest_gap_ms))
    if new_first_ms is not None and last_used >= new_first_ms:
        uses, first_ms = _uses_since(old, new_first_ms)
        mean = (last_used - new_first_ms) / max(1, uses)
        if uses > 1 and first_ms is not None:
            mean = max(mean, (last_used - first_ms) / (uses - 1))
        needed = max(needed, int(_PROCESS_FACTOR * mean))
        if uses == 1 and last_used - new_first_ms > HOUR_MS:
            needed = max(needed, _SINGLE_USE_FACTOR * policy.settle_ms)
    return min(policy.quiet_window_ms, needed)


def _credentials_silent_from(old: Sequence[CallerRecord], policy: Policy) -> int:
    """Return when the last credential of the version has been silent for long enough, by its own longest gap.

    Two credentials of one version are in two places, and somebody has to change both: what comes every five days with
    the one is not proven by what came every hour with the other.
    """
    by_credential: dict[str, list[CallerRecord]] = {}
    for record in old:
        if record.facts.last_accepted_ms is not None:
            by_credential.setdefault(record.credential, []).append(record)
    if len(by_credential) < 2:  # noqa: PLR2004 - one credential is the whole caller
        return 0
    found = 0
    for records in by_credential.values():
        _, rhythm = _fold(records, None)
        last_ms = max(each.facts.last_accepted_ms or 0 for each in records)
        needed = max(policy.settle_ms, int(policy.gap_factor * rhythm.longest_gap_ms))
        found = max(found, last_ms + min(policy.quiet_window_ms, needed))
    return found


def _gone_silence(rhythm: Rhythm, variation: float | None, policy: Policy) -> tuple[bool, int]:
    """Return whether the rhythm is known, and the observed silence after which the caller is gone."""
    floor = max(policy.quiet_window_ms, policy.gone_after_ms)
    if rhythm.sightings >= policy.min_sightings and variation is not None and variation <= REGULAR_VARIATION:
        return True, max(floor, int(policy.gap_factor * rhythm.longest_gap_ms))
    if rhythm.sightings >= IRREGULAR_SIGHTINGS:
        return True, max(floor, IRREGULAR_FACTOR * rhythm.longest_gap_ms)
    return False, policy.longest_cadence_ms


def _first_after(
    new: Sequence[CallerRecord], moment_ms: int, first_served_ms: int | None, last_served_ms: int | None
) -> int | None:
    """Return the first success on the new version after a moment, at the latest; `None` where there is none."""
    if first_served_ms is None or last_served_ms is None or last_served_ms <= moment_ms:
        return None
    if first_served_ms > moment_ms:
        return first_served_ms
    return min((_first_served_after(record, moment_ms) for record in new), default=last_served_ms)


def _first_served_after(record: CallerRecord, moment_ms: int) -> int:
    last = record.facts.last_served_ms
    if last is None or last <= moment_ms:
        return 1 << 62
    if record.facts.first_served_ms is not None and record.facts.first_served_ms > moment_ms:
        return record.facts.first_served_ms
    for day in record.activity.since(moment_ms // DAY_MS):
        start = day.day * DAY_MS
        skipped = max(0, -(-(moment_ms + 1 - start) // SLOT_MS))
        slots = day.slots >> skipped
        if slots:
            slot = skipped + (slots & -slots).bit_length() - 1
            exact = day.first_ms > moment_ms and (day.first_ms - start) // SLOT_MS == slot
            return min(last, day.last_ms, day.first_ms if exact else start + (slot + 1) * SLOT_MS - 1)
    return last


def _next_expected(rhythm: Rhythm, variation: float | None, last_used: int) -> int:
    """Return when the next use is expected: by the mean gap of a steady rhythm, else by the hours of its week."""
    mean = rhythm.in_the_middle.mean_gap_ms
    begun = rhythm.in_the_middle.begun_ms
    steady = variation is not None and variation <= REGULAR_VARIATION
    if mean is not None and begun is not None and steady and mean > _DAILY_MS:
        return max(last_used + 1, begun + _calendar(int(mean)))
    first = last_used if rhythm.first_ms is None else rhythm.first_ms
    typical = (last_used - first) // max(1, rhythm.active_slots - 1)
    return _next_in_week(rhythm.week, last_used + max(typical, SLOT_MS))


def _calendar(mean_ms: int) -> int:
    """Return the gap to the next run: a month is a month and a quarter is one, however long the last ones were."""
    days = mean_ms / DAY_MS
    for low, high, length in ((27.5, 31.9, 31), (88.0, 94.0, 92), (6.8, 7.2, 7)):
        if low <= days <= high:
            return length * DAY_MS
    return mean_ms


def _next_in_week(week: Sequence[int], from_ms: int) -> int:
    """Return the start of the first half hour of the week's profile at or after a moment (the moment itself if in)."""
    slot = from_ms // SLOT_MS
    per_day = DAY_MS // SLOT_MS
    if not any(week):
        return from_ms
    for ahead in range(8):
        day = slot // per_day + ahead
        bits = week[(day + 3) % 7]
        if ahead == 0:
            bits = bits >> slot % per_day << slot % per_day
        if bits:
            return max(from_ms, day * DAY_MS + ((bits & -bits).bit_length() - 1) * SLOT_MS)
    return from_ms


def _requests_per_day(old: Sequence[CallerRecord], rhythm: Rhythm, first_ms: int, last_ms: int) -> float:
    """Return its uses a day as it used to be: over its last week where that is typical, else over 100 days."""
    days = _RECENT_DAYS
    week = max(record.activity.after(last_ms // DAY_MS - _RECENT_DAYS + 1)[0] for record in old)
    if week < _RECENT_SIGHTINGS and rhythm.sightings > 1:
        days = _LONG_DAYS
    from_day = last_ms // DAY_MS - days + 1
    typical = (last_ms - first_ms) / max(1, rhythm.active_slots - 1)
    span = max(1.0, (last_ms - max(first_ms, from_day * DAY_MS) + typical) / DAY_MS)
    uses = sum(record.activity.after(from_day)[1] for record in old)
    return round(uses / span, 3)


def _returned(
    old: Sequence[CallerRecord], new: Sequence[CallerRecord], new_first_ms: int | None, last_used: int, policy: Policy
) -> int | None:
    """Return when it last came back to the old version: after `settle` without a use, with the new one meanwhile."""
    if new_first_ms is None or last_used < new_first_ms + min(policy.settle_ms, HOUR_MS):
        return None
    from_day = max(new_first_ms, last_used - _LOOK_FOR_RETURN_MS) // DAY_MS - 1
    found = None
    before = None
    for day in days_of([record.activity for record in old], from_day):
        if before is not None and day.first_ms - before >= policy.settle_ms and day.first_ms > new_first_ms:
            after = [
                _first_after((record,), before, record.facts.first_served_ms, record.facts.last_served_ms)
                for record in new
            ]
            if any(at is not None and at < day.first_ms for at in after):
                found = day.first_ms
        before = day.last_ms
    return found
