"""What the page's forms do: the same steps as the API's, with an answer in a sentence instead of a status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.api.deps import Deps
from monitor.control import steps
from monitor.core.instants import DAY_MS, parse_rfc3339
from monitor.core.registry import Pin, Waiver
from monitor.errors import Conflict, NotFound, RollwatchError, StoreAway
from monitor.ports import Snapshot

_LONGEST_MS = 3_653 * DAY_MS
_LONGEST = {"client": 200, "source": 200, "reason": 300, "until": 40, "episode": 200}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came of an action. `done` is false where nothing was changed."""

    done: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An action as it arrived, its texts cut to length."""

    rollover: str
    by: str
    now_ms: int
    form: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.form.get(name, "").strip()[: _LONGEST[name]]

    def needed(self, name: str) -> str:
        given = self.text(name)
        if not given:
            raise Conflict(f"{name}: expected a text")
        return given

    def until_ms(self) -> int | None:
        """Return the end of the given day (UTC); a whole time is taken as it is. Raises `Conflict`."""
        given = self.text("until")
        if not given:
            return None
        try:
            end_ms = parse_rfc3339(given) if "T" in given else parse_rfc3339(f"{given}T00:00:00Z") + DAY_MS
        except (ValueError, OverflowError) as error:
            raise Conflict("until: expected a day such as 2026-06-30") from error
        if not self.now_ms < end_ms <= self.now_ms + _LONGEST_MS:
            raise Conflict("until: expected a day that is not over, at most ten years ahead")
        return end_ms


def perform(deps: Deps, rollover: str, action: str, form: Mapping[str, str], by: str) -> Said:
    """Do it, in one writing snapshot, under the token's name. What is refused changes nothing and says why."""
    act = _ACTS.get(action)
    if act is None:
        return Said(done=False, text="There is no such action.")
    asked = _Asked(rollover=rollover, by=by, now_ms=deps.clock.now_ms(), form=form)
    try:
        with deps.store.snapshot(write=True) as snapshot:
            return act(deps, snapshot, asked)
    except (Conflict, NotFound) as fault:
        return Said(done=False, text=f"Refused: {fault}")
    except StoreAway:
        return Said(done=False, text="The database is away: nothing was changed. Try again in a moment.")
    except RollwatchError as fault:
        return Said(done=False, text=f"Nothing was changed: {fault}")


def _retire(deps: Deps, snapshot: Snapshot, asked: _Asked) -> Said:
    made = steps.retire(snapshot, deps.judge, asked.rollover, by=asked.by, reason=None, now_ms=asked.now_ms)
    if made.done:
        return Said(done=True, text="Retired. Rejected callers of the old version are now reported by name.")
    blockers = made.decision.blockers if made.decision is not None else ()
    why = blockers[0].summary if blockers else "the gate does not say GO"
    return Said(done=False, text=f"Not retired: {why}")


def _freeze(deps: Deps, snapshot: Snapshot, asked: _Asked) -> Said:
    reason = asked.needed("reason")
    steps.step(
        snapshot,
        deps.judge,
        asked.rollover,
        steps.Action.FREEZE,
        by=asked.by,
        reason=reason,
        now_ms=asked.now_ms,
    )
    return Said(done=True, text="Frozen: nobody new may adopt the old version.")


def _waive(deps: Deps, snapshot: Snapshot, asked: _Asked) -> Said:  # noqa: ARG001 - one signature for all
    client = asked.needed("client")
    until_ms = asked.until_ms()
    if until_ms is None:
        raise Conflict("until: a waiver ends on some day")
    snapshot.waive(
        Waiver(
            rollover=asked.rollover,
            client=client,
            source=asked.text("source") or None,
            reason=asked.needed("reason"),
            by=asked.by,
            from_ms=asked.now_ms,
            until_ms=until_ms,
        ),
        now_ms=asked.now_ms,
    )
    return Said(done=True, text=f"{client} is waived; the next look at the rollover takes it into account.")


def _pin(deps: Deps, snapshot: Snapshot, asked: _Asked) -> Said:  # noqa: ARG001 - one signature for all
    rollover = snapshot.state(asked.rollover, asked.now_ms).rollover
    pin = Pin(
        key=rollover.key,
        version=rollover.from_version,
        reason=asked.needed("reason"),
        by=asked.by,
        until_ms=asked.until_ms(),
    )
    snapshot.pin(pin, now_ms=asked.now_ms)
    return Said(done=True, text=f"v{pin.version} is pinned: nothing retires it.")


def _acknowledge(deps: Deps, snapshot: Snapshot, asked: _Asked) -> Said:
    snapshot.state(asked.rollover, asked.now_ms)
    told = deps.notifier.acknowledge(snapshot, asked.needed("episode"), by=asked.by, now_ms=asked.now_ms)
    if not told:
        return Said(done=False, text="Nobody has been told of it yet, so there is nothing to hold back.")
    return Said(done=True, text="Acknowledged: its reminders rest until it gets worse.")


_ACTS: Mapping[str, Callable[[Deps, Snapshot, _Asked], Said]] = {
    "retire": _retire,
    "freeze": _freeze,
    "waive": _waive,
    "pin": _pin,
    "acknowledge": _acknowledge,
}
ACTIONS = frozenset(_ACTS)
"""What may stand at the end of a form's address."""
