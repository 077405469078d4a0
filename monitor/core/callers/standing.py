"""Where a caller of the old version stands now: the contract's states, in the contract's order (DESIGN §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.core.callers.profile import Profile
from monitor.core.decision import CLEARED_STATES, CallerName, CallerState
from monitor.core.policy import Policy
from monitor.core.registry import Noise, Waiver

FOREVER_MS = 1 << 62
"""A moment that never comes: later than every time a store can hold."""

_NO_ONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A caller of the old version at one moment.

    clears_at_ms: when it clears if it does nothing any more, `None` where waiting never clears it; clears_by: which
    condition that is. holds_until_ms: this standing is true until then, as long as nothing about the caller, the
    policy or the coverage changes. noise: a registered noise within its cap. cleared: it does not hold the gate.
    """

    name: CallerName
    state: CallerState
    profile: Profile
    noise: bool
    cleared: bool
    clears_at_ms: int | None
    clears_by: str
    holds_until_ms: int
    new_adopter: bool

    @property
    def flip_flop_ms(self) -> int | None:
        """Return when it last came back to the old version after being on the new one."""
        return self.profile.returned_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that decides a caller's state beside its own profile; equal rules give equal standings."""

    policy: Policy
    started_at_ms: int
    clients: frozenset[str] = _NO_ONE
    waivers: tuple[Waiver, ...] = ()
    noise: tuple[Noise, ...] = ()
    history_before_start: bool = True
    waivers_of: Mapping[str, tuple[Waiver, ...]] = field(init=False, compare=False, repr=False)
    noise_of: Mapping[str, tuple[Noise, ...]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Index waivers and noise by client."""
        by_waived: dict[str, tuple[Waiver, ...]] = {}
        for waiver in self.waivers:
            by_waived[waiver.client] = (*by_waived.get(waiver.client, ()), waiver)
        by_noise: dict[str, tuple[Noise, ...]] = {}
        for each in self.noise:
            by_noise[each.client] = (*by_noise.get(each.client, ()), each)
        object.__setattr__(self, "waivers_of", by_waived)
        object.__setattr__(self, "noise_of", by_noise)


def covers(waiver: Waiver, now_ms: int) -> bool:
    """Return whether a waiver is valid: in [from, until)."""
    return (waiver.from_ms or 0) <= now_ms and (waiver.until_ms is None or now_ms < waiver.until_ms)


def stand(who: Profile, rules: Rules, *, now_ms: int, blind_until_ms: int, noise: bool = False) -> Standing:
    """Return where the caller stands.

    `blind_until_ms` is the end of the last coverage gap of an hour or more (`now_ms` while one lasts, 0 without any):
    silence counts as observed from there on only.
    """
    gone_at = None if who.gone_silence_ms is None else max(who.last_sign_ms, blind_until_ms) + who.gone_silence_ms
    moved_at = who.migrated_at_ms
    waived, edge = _waived(who, rules, now_ms)
    state = _state(who, rules, now_ms, waived=waived, moved_at=moved_at, gone_at=gone_at)
    clears_at, clears_by = _clears(who, moved_at, gone_at)
    changes = (edge, moved_at, gone_at, who.overdue_ms + 1, who.last_sign_ms + rules.policy.settle_ms)
    return Standing(
        name=CallerName(client=who.client, source=who.source),
        state=state,
        profile=who,
        noise=noise,
        cleared=noise or state in CLEARED_STATES,
        clears_at_ms=clears_at,
        clears_by=clears_by,
        holds_until_ms=min((at for at in changes if at is not None and at > now_ms), default=FOREVER_MS),
        new_adopter=rules.history_before_start and who.first_used_ms > rules.started_at_ms,
    )


def _state(  # noqa: PLR0911 - a line a state, in the contract's order
    who: Profile, rules: Rules, now_ms: int, *, waived: bool, moved_at: int | None, gone_at: int | None
) -> CallerState:
    if waived:
        return CallerState.WAIVED
    if _suspect(who, rules):
        return CallerState.SUSPECT
    if moved_at is not None and now_ms >= moved_at:
        return CallerState.MIGRATED
    if gone_at is not None and now_ms >= gone_at:
        return CallerState.PRESUMED_GONE
    if not who.known_rhythm:
        return CallerState.UNKNOWN_CADENCE
    if who.seen_on_new:
        return CallerState.DRAINING
    if now_ms > who.overdue_ms:
        return CallerState.OVERDUE
    if now_ms - who.last_sign_ms >= rules.policy.settle_ms:
        return CallerState.DUE
    return CallerState.ACTIVE


def _suspect(who: Profile, rules: Rules) -> bool:
    """Return whether it is a stranger to the key. A caller without a name may be anybody: it blocks instead."""
    if not rules.clients or who.client is None or who.client in rules.clients:
        return False
    return who.first_used_ms >= rules.started_at_ms


def _waived(who: Profile, rules: Rules, now_ms: int) -> tuple[bool, int | None]:
    """Return whether it is waived, and when that next changes."""
    if who.client is None or who.client not in rules.waivers_of:
        return False, None
    mine = [each for each in rules.waivers_of[who.client] if each.source in (None, who.source)]
    edges = [at for each in mine for at in (each.from_ms, each.until_ms) if at is not None and at > now_ms]
    return any(covers(each, now_ms) for each in mine), min(edges, default=None)


def _clears(who: Profile, moved_at: int | None, gone_at: int | None) -> tuple[int | None, str]:
    if moved_at is not None and (gone_at is None or moved_at <= gone_at):
        return moved_at, "migrated: proven on the new version, and silent on the old one for long enough"
    if gone_at is not None and not who.known_rhythm:
        return gone_at, "silent for the longest cadence: too few sightings to know its rhythm"
    if gone_at is not None:
        return gone_at, "presumed gone: silent for longer than its rhythm allows"
    return None, "it fails on the new version: waiting does not clear it"
