"""Brownouts: short planned refusals of the old version, in the stragglers' own hours, so that they notice in daylight.

We plan and measure; the gateway (or an operator) acts. Windows grow from minutes to hours (`policy.brownout_steps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.core.callers import Standing
from monitor.core.callers.tripwire import Tripped
from monitor.core.decision import CallerName, CallerState
from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339
from monitor.core.windows import SLOT_MS

REST_MS = 12 * HOUR_MS
"""Between two windows people must have time to react."""

_HORIZON_MS = 7 * DAY_MS
_LIKELY = 0.5
_DECIDING = 200
_WEEKDAY_OF_EPOCH = 3
_EXEMPT = frozenset({CallerState.SUSPECT, CallerState.WAIVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One refusal of the old version. `coverage` is the expected share of stragglers reached (0 to 1)."""

    from_ms: int
    until_ms: int
    coverage: float
    hit: tuple[CallerName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrownoutPlan:
    """Windows in order. `unreached` come in none of them: their rhythm is slower than a week, or not known."""

    windows: tuple[Window, ...]
    stragglers: int
    coverage: float
    unreached: tuple[CallerName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a window has done so far. `abort` says why it must end now, `None` while it may go on."""

    hit: tuple[CallerName, ...]
    unplanned: tuple[CallerName, ...]
    abort: str | None


def plan(standings: Sequence[Standing], steps_ms: Sequence[int], *, from_ms: int) -> BrownoutPlan:
    """Return one window a step, each at the half hour of the coming week in which it reaches the most stragglers.

    Stragglers are the callers that hold the gate; of very many, the busiest decide where windows lie. Ties go to the
    earlier window. A caller counts as hit where it is more likely than not to come within the window.
    """
    held = [each for each in standings if not each.cleared]
    busiest = sorted(held, key=lambda each: -each.profile.requests_per_day)[:_DECIDING]
    windows: list[Window] = []
    earliest = -(-from_ms // SLOT_MS) * SLOT_MS
    for step_ms in steps_ms if held else ():
        starts = range(earliest, earliest + _HORIZON_MS, SLOT_MS)
        best = max(starts, key=lambda start, step=step_ms: (_reach(busiest, start, step), -start))  # type: ignore[misc]
        hit = tuple(each.name for each in held if likelihood(each, best, step_ms) >= _LIKELY)
        share = _reach(held, best, step_ms) / len(held)
        windows.append(Window(from_ms=best, until_ms=best + step_ms, coverage=round(share, 3), hit=hit))
        earliest = -(-(best + step_ms + REST_MS) // SLOT_MS) * SLOT_MS
    reached = {name for window in windows for name in window.hit}
    return BrownoutPlan(
        windows=tuple(windows),
        stragglers=len(held),
        coverage=round(len(reached) / len(held), 3) if held else 0.0,
        unreached=tuple(each.name for each in held if each.name not in reached),
    )


def likelihood(standing: Standing, from_ms: int, length_ms: int) -> float:
    """Return how likely the caller comes within a window (0 to 1), from its hours of the week or its next expected run.

    A caller that comes less than weekly has no hours worth planning by: it is reached when its next run is expected
    within the window.
    """
    who = standing.profile
    if standing.state is CallerState.UNKNOWN_CADENCE or who.longest_gap_ms > _HORIZON_MS:
        return 1.0 if from_ms <= who.next_expected_ms < from_ms + length_ms else 0.0
    used = sum(each.bit_count() for each in who.week)
    if not used:
        return 0.0
    per_slot = who.requests_per_day * 7 / used
    expected = 0.0
    at = from_ms
    while at < from_ms + length_ms:
        end = min(from_ms + length_ms, at - at % SLOT_MS + SLOT_MS)
        day = at // DAY_MS
        if who.week[(day + _WEEKDAY_OF_EPOCH) % 7] >> at % DAY_MS // SLOT_MS & 1:
            expected += per_slot * (end - at) / SLOT_MS
        at = end
    return min(1.0, expected)


def measure(
    window: Window, came: Sequence[Tripped], standings: Sequence[Standing], *, abort_above: int, now_ms: int
) -> Measured:
    """Return what a window has done by now: who was refused, whom nobody had expected, and whether to end it.

    `came` is `tripped` since the window's start. A caller that counts as moved or gone and is refused all the same is
    worse than any number of known stragglers: it ends the window at once. Suspects, waived callers and noise are
    nobody's customers: they are named, and end nothing.
    """
    hit = tuple(each.caller for each in came if each.rejected_ms is not None and each.rejected_ms >= window.from_ms)
    planned = set(window.hit)
    exempt = {each.name for each in standings if each.noise or each.state in _EXEMPT}
    cleared = {each.name for each in standings if was_cleared(each, window.from_ms)} - exempt
    surprised = [str(name) for name in hit if name in cleared]
    counted = [name for name in hit if name not in exempt]
    abort = None
    if surprised:
        abort = f"refused although it counts as cleared: {', '.join(surprised[:10])}"
    elif len(counted) > abort_above:
        abort = f"{len(counted)} callers were refused, at most {abort_above} were accepted"
    elif now_ms > window.until_ms:
        abort = f"it was to end at {rfc3339(window.until_ms)}"
    return Measured(hit=hit, unplanned=tuple(name for name in hit if name not in planned), abort=abort)


def was_cleared(standing: Standing, moment_ms: int) -> bool:
    """Return whether the caller counted as moved or gone at a moment, whatever was refused to it since.

    Its state of now does not tell: a refused attempt is a sign of life, and takes a caller out of `migrated`.
    """
    who = standing.profile
    if standing.state is CallerState.SUSPECT or who.last_used_ms >= moment_ms:
        return False
    silent_ms = moment_ms - who.last_used_ms
    moved = who.new_last_ms is not None and who.new_last_ms > who.last_used_ms and silent_ms >= who.silence_ms
    return moved or (who.gone_silence_ms is not None and silent_ms >= who.gone_silence_ms)


def _reach(held: Sequence[Standing], start_ms: int, length_ms: int) -> float:
    return sum(likelihood(each, start_ms, length_ms) for each in held)
