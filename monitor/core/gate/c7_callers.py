"""C7: every caller ever seen on the old version has moved, is gone, or was accepted by name. The heart of the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from monitor.core.callers import Entry
from monitor.core.decision import Blocker, CallerState, Status
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import format_duration, rfc3339

CLAUSE = "C7"
_EXCUSED = frozenset({CallerState.MIGRATED, CallerState.WAIVED, CallerState.SUSPECT})


def callers(look: Look) -> Finding:
    """Judge every caller, and whether history reaches back far enough to know them all."""
    roster = look.roster
    states = Counter(["noise" if each.noise else each.state.value for each in roster])
    held = [_held(look, entry) for entry in roster.uncleared]
    old, new = f"v{look.rollover.from_version}", f"v{look.rollover.to_version}"
    found = finding(
        CLAUSE,
        [*held, *_history(look)],
        passed=f"all {len(roster)} callers ever seen on {old} are cleared",
        evidence=dict(sorted(states.items())),
    )
    if not held:
        return found
    # with callers in the way the sentence counts them; each is named by its blocker
    summary = f"{len(held)} of {len(roster)} callers of {old} not proven on {new}"
    return replace(found, clause=replace(found.clause, summary=summary))


def _held(look: Look, entry: Entry) -> Trouble:
    standing = entry.standing
    status = Status.UNKNOWN if standing.state is CallerState.UNKNOWN_CADENCE else Status.FAIL
    if entry.blocker is None:
        entry.blocker = _blocker(look, entry)
    return Trouble(status=status, blocker=entry.blocker)


def _blocker(look: Look, entry: Entry) -> Blocker:
    standing, who = entry.standing, entry.standing.profile
    return Blocker(
        clause=CLAUSE,
        caller=standing.name,
        state=standing.state,
        last_seen_ms=who.last_sign_ms,
        next_expected_ms=who.next_expected_ms,
        clears_at_ms=standing.clears_at_ms,
        requests_per_day=who.requests_per_day,
        summary=_sentence(look, entry),
        what_would_clear_it=_clear(look, entry),
    )


def _sentence(look: Look, entry: Entry) -> str:
    standing, who = entry.standing, entry.standing.profile
    old, new = f"v{look.rollover.from_version}", f"v{look.rollover.to_version}"
    rhythm = f"{who.sightings} sightings, longest gap {format_duration(who.longest_gap_ms)}"
    parts = [f"{standing.name} is {standing.state.value} on {old}: last use {rfc3339(who.last_used_ms)}, {rhythm}"]
    if who.last_sign_ms > who.last_used_ms:
        parts.append(f"still rejected with {old} at {rfc3339(who.last_sign_ms)}")
    if who.fails_on_new and who.new_failed_ms is not None:
        parts.append(f"rejected on {new} at {rfc3339(who.new_failed_ms)} and not served there since")
    elif who.new_last_ms is None:
        parts.append(f"never succeeded on {new}")
    else:
        parts.append(f"last success on {new} {rfc3339(who.new_last_ms)}")
    if who.returned_ms is not None:
        parts.append(f"came back to {old} at {rfc3339(who.returned_ms)}")
    if standing.new_adopter:
        parts.append(f"first seen on {old} after the rollover began")
    return "; ".join(parts)


def _clear(look: Look, entry: Entry) -> str:
    standing, who = entry.standing, entry.standing.profile
    old, new = f"v{look.rollover.from_version}", f"v{look.rollover.to_version}"
    if standing.clears_at_ms is None:
        return f"one success on {new}, then silence on {old} for {format_duration(who.silence_ms)}, or a waiver"
    at = rfc3339(standing.clears_at_ms)
    if who.migrated_at_ms is not None:
        return f"no use of {old} until {at}, or a waiver"
    return f"one success on {new}, or a waiver; otherwise silence on {old} until {at} ({standing.clears_by})"


def _history(look: Look) -> Iterator[Trouble]:
    began, needed = look.coverage.history_start_ms, look.now_ms - look.policy.lookback_ms
    roster = look.roster
    if not len(roster) and look.evidence.never_used_acknowledged_by is None:
        yield trouble(
            CLAUSE,
            Status.UNKNOWN,
            f"no caller was ever seen on v{look.rollover.from_version}",
            "one use of it, or a named acknowledgement that it was never used",
        )
    if began is not None and began <= needed:
        return
    if look.policy.allow_short_lookback and len(roster):
        unproven = [each for each in roster if not each.noise and each.state not in _EXCUSED]
        if began is not None and not unproven:
            return
    yield trouble(
        CLAUSE,
        Status.UNKNOWN,
        "no history yet"
        if began is None
        else f"history begins at {rfc3339(began)}, and must cover "
        f"{format_duration(look.policy.lookback_ms)}: slower callers may not have been seen",
        "a backfill of older logs, or time; or `allow_short_lookback`, once every caller has moved or is waived",
        clears_at_ms=None if began is None else began + look.policy.lookback_ms,
    )
