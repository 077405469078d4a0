"""When callers call: event times (epoch ms) of different rhythms, from a seeded random source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, from_ms, to_ms

Rhythm = Callable[[Random, int, int], Iterator[int]]
"""(random source, from, to) -> rising event times in [from, to)."""


def steady(mean_gap_ms: int) -> Rhythm:
    """Return a service's rhythm: independent calls around the clock."""

    def calls(random: Random, from_ms: int, to_ms_: int) -> Iterator[int]:
        at = from_ms + int(random.expovariate(1 / mean_gap_ms))
        while at < to_ms_:
            yield at
            at += max(1_000, int(random.expovariate(1 / mean_gap_ms)))

    return calls


def office(mean_gap_ms: int, *, opens: int = 7, closes: int = 18) -> Rhythm:
    """Return the rhythm of people: Monday to Friday, in working hours (UTC)."""

    def calls(random: Random, from_ms: int, to_ms_: int) -> Iterator[int]:
        for at in steady(mean_gap_ms)(random, from_ms, to_ms_):
            moment = from_ms_utc(at)
            if moment.weekday() < 5 and opens <= moment.hour < closes:  # noqa: PLR2004 - Saturday
                yield at

    return calls


def every(period_ms: int, *, jitter_ms: int = 10 * MINUTE_MS, burst: int = 1, burst_ms: int = 0) -> Rhythm:
    """Return a scheduled job's rhythm: each period, `burst` calls within `burst_ms`."""

    def calls(random: Random, from_ms: int, to_ms_: int) -> Iterator[int]:
        start = from_ms + random.randrange(period_ms)
        step = 0
        while (base := start + step * period_ms) < to_ms_:
            offset = random.randrange(jitter_ms + 1)
            times = sorted(base + offset + (random.randrange(burst_ms + 1) if each else 0) for each in range(burst))
            yield from (at for at in times if at < to_ms_)
            step += 1

    return calls


def monthly(*, day: int = 1, months: int = 1, hour: int = 3, burst: int = 3, burst_ms: int = HOUR_MS) -> Rhythm:
    """Return a month-end job's rhythm: on that day of each (third) month, some calls within `burst_ms`."""

    def calls(random: Random, from_ms: int, to_ms_: int) -> Iterator[int]:
        moment = from_ms_utc(from_ms).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        shift = random.randrange(months)
        index = 0
        while (first := to_ms(moment)) < to_ms_:
            if index % months == shift:
                base = first + (day - 1) * DAY_MS + hour * HOUR_MS + random.randrange(30 * MINUTE_MS)
                for at in sorted(base + random.randrange(burst_ms + 1) for _ in range(burst)):
                    if from_ms <= at < to_ms_:
                        yield at
            index += 1
            moment = (
                moment.replace(year=moment.year + 1, month=1)
                if moment.month == 12  # noqa: PLR2004 - December
                else moment.replace(month=moment.month + 1)
            )

    return calls


def nth_weekday(*, weekday: int = 0, nth: int = 1, hour: int = 4, burst: int = 3, burst_ms: int = HOUR_MS) -> Rhythm:
    """Return the rhythm of a job on the nth weekday (0 is Monday) of each month."""

    def calls(random: Random, from_ms: int, to_ms_: int) -> Iterator[int]:
        day = from_ms // DAY_MS
        while day * DAY_MS < to_ms_:
            moment = from_ms_utc(day * DAY_MS)
            if moment.weekday() == weekday and (moment.day - 1) // 7 == nth - 1:
                base = day * DAY_MS + hour * HOUR_MS + random.randrange(30 * MINUTE_MS)
                for at in sorted(base + random.randrange(burst_ms + 1) for _ in range(burst)):
                    if from_ms <= at < to_ms_:
                        yield at
            day += 1

    return calls


def without(rhythm: Rhythm, begin_ms: int, end_ms: int) -> Rhythm:
    """Return the rhythm with a holiday: nothing in [begin, end)."""

    def calls(random: Random, from_ms: int, to_ms_: int) -> Iterator[int]:
        return (at for at in rhythm(random, from_ms, to_ms_) if not begin_ms <= at < end_ms)

    return calls


from_ms_utc = from_ms
