"""The contract's states (DESIGN §6), a row each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from monitor.core.callers import Standing
from monitor.core.gate import caller_states
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339
from monitor.core.policy import Policy
from monitor.core.registry import Key, KeyVersion, Noise, Registry, Rollover, Waiver
from tests.unit.gate.world import NEW, OLD, START, Use, World, every, moved, registry

D, H = DAY_MS, HOUR_MS
DAILY = every(D, first=START - 99 * D, last=START + D)
DEFAULTS = Policy()
MONTHLY = every(30 * D, first=START - 149 * D, last=START + D)


def states(world: World) -> dict[str, Standing]:
    found = caller_states(
        rollover=world.registry.rollover_by_id[world.rollover],
        registry=world.registry,
        policy=world.policy,
        evidence=world.known(),
        telemetry=world.seen(),
    )
    return {str(each.name): each for each in found}


def on_new(*at: int, **fields: object) -> list[Use]:
    return [Use(at=each, credential=NEW, **fields) for each in at]  # type: ignore[arg-type]


def on_old(*at: int, **fields: object) -> list[Use]:
    return [Use(at=each, **fields) for each in at]  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Row:
    why: str
    uses: list[Use]
    now: int
    state: str
    policy: Policy = DEFAULTS


ROWS = [
    # migrated
    Row(
        why="proof, and settle after both",
        uses=DAILY + on_new(START + 2 * D),
        now=START + 2 * D + 36 * H,
        state="migrated",
    ),
    Row(
        why="settle has not passed since the first proof",
        uses=DAILY + on_new(START + 2 * D),
        now=START + 3 * D,
        state="draining",
    ),
    Row(
        why="the instant settle passes counts",
        uses=DAILY + on_new(START + 2 * D),
        now=START + 2 * D + 26 * H,
        state="migrated",
    ),
    Row(
        why="silent for less than 1.5 x its longest gap",
        uses=MONTHLY + on_new(START + 2 * D),
        now=START + 8 * D,
        state="draining",
    ),
    Row(
        why="never longer than the quiet window",
        uses=MONTHLY + on_new(START + 2 * D),
        now=START + 9 * D,
        state="migrated",
    ),
    Row(why="the proof came before the last use", uses=DAILY + on_new(START), now=START + 9 * D, state="draining"),
    Row(
        why="rate limited on the new version is no proof",
        uses=DAILY + on_new(START + 2 * D, served=False),
        now=START + 5 * D,
        state="draining",
    ),
    Row(
        why="rejected on the new version is no proof, and not even a sight of it",
        uses=DAILY + on_new(START + 2 * D, ok=False),
        now=START + 5 * D,
        state="overdue",
    ),
    Row(
        why="a rejected attempt with the old version is a sign of life: silence begins anew",
        uses=DAILY + on_new(START + 2 * D, START + 4 * D) + on_old(START + 3 * D, ok=False),
        now=START + 4 * D + 12 * H,
        state="draining",
    ),
    Row(
        why="rate limited on the old version is a use of it",
        uses=DAILY + on_new(START + 2 * D, START + 4 * D) + on_old(START + 3 * D, served=False),
        now=START + 4 * D + 12 * H,
        state="draining",
    ),
    Row(
        why="a second process that comes weekly has not had its turn: 12 x its mean gap, capped by the quiet window",
        uses=moved(at=START + D) + on_old(START + 4 * D, *(START + 4 * D + each * 1000 for each in range(50))),
        now=START + 11 * D,
        state="draining",
    ),
    Row(
        why="and has had it after the quiet window",
        uses=moved(at=START + D) + on_old(START + 4 * D),
        now=START + 12 * D,
        state="migrated",
    ),
    Row(
        why="a single use hours after the move may be the first of many: three times settle, no day less",
        uses=moved(at=START + D) + on_old(START + D + 2 * H),
        now=START + D + 2 * H + 78 * H - 1,
        state="draining",
    ),
    Row(
        why="and no day more",
        uses=moved(at=START + D) + on_old(START + D + 2 * H),
        now=START + D + 2 * H + 78 * H,
        state="migrated",
    ),
    Row(
        why="a single use within the hour is a handover",
        uses=moved(at=START + D) + on_old(START + D + 50 * 60_000),
        now=START + D + 50 * 60_000 + 36 * H,
        state="migrated",
    ),
    # presumed gone
    Row(why="a daily caller is silent for gone_after", uses=DAILY, now=START + 29 * D, state="presumed_gone"),
    Row(why="and not an hour sooner", uses=DAILY, now=START + 29 * D - H, state="overdue"),
    Row(why="a monthly caller missed its date by half", uses=MONTHLY, now=START + 46 * D, state="presumed_gone"),
    Row(why="a monthly caller is within its rhythm", uses=MONTHLY, now=START + 30 * D, state="due"),
    Row(
        why="gone_after 0s clears a decommissioned caller after the quiet window",
        uses=DAILY,
        now=START + 9 * D,
        state="presumed_gone",
        policy=Policy(gone_after_ms=0),
    ),
    Row(
        why="never while it fails on the new version",
        uses=DAILY + on_new(START + 2 * D, ok=False),
        now=START + 99 * D,
        state="overdue",
    ),
    Row(
        why="irregular, ten sightings: three times the longest gap",
        uses=on_old(*(START - each * D for each in (100, 99, 98, 96, 95, 80, 79, 78, 70, 69))),
        now=START - 69 * D + 45 * D,
        state="presumed_gone",
    ),
    Row(
        why="irregular, nine sightings: its rhythm is not known",
        uses=on_old(*(START - each * D for each in (100, 99, 98, 96, 95, 80, 79, 78, 70))),
        now=START - 70 * D + 45 * D,
        state="unknown_cadence",
    ),
    # unknown cadence
    Row(
        why="two sightings are enough where the policy says so",
        uses=on_old(START - 60 * D, START - 30 * D),
        now=START + 16 * D,
        state="presumed_gone",
        policy=Policy(min_sightings=2),
    ),
    Row(
        why="two sightings are too few by default",
        uses=on_old(START - 60 * D, START - 30 * D),
        now=START + 16 * D,
        state="unknown_cadence",
    ),
    Row(
        why="it blocks until silent for longest_cadence",
        uses=on_old(START - 60 * D),
        now=START + 40 * D,
        state="presumed_gone",
    ),
    Row(
        why="a millisecond less is not enough",
        uses=on_old(START - 60 * D),
        now=START + 40 * D - 1,
        state="unknown_cadence",
    ),
    Row(
        why="bursts and weights add no sighting",
        uses=on_old(*(START + each * MINUTE_MS for each in range(600)), count=1000),
        now=START + 35 * D,
        state="unknown_cadence",
    ),
    Row(
        why="uses that were never served are no sighting",
        uses=on_old(*(START - each * D for each in range(20)), served=False),
        now=START + 35 * D,
        state="unknown_cadence",
    ),
    # the rest
    Row(why="seen on both", uses=DAILY + on_new(START - H), now=START + D + H, state="draining"),
    Row(why="used today", uses=DAILY, now=START + D + H, state="active"),
    Row(why="its day has passed", uses=DAILY, now=START + 2 * D + 2 * H, state="overdue"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
def test_each_caller_is_in_the_first_state_that_fits(row: Row) -> None:
    assert states(World(uses=row.uses, now=row.now, policy=row.policy))["acme/eu"].state == row.state


def test_a_weekday_caller_is_due_on_sunday_and_overdue_on_monday_evening() -> None:
    friday = parse_rfc3339("2026-05-08T09:00:00Z")
    uses = [
        Use(at=friday - week * 7 * D - day * D + hour * H)
        for week in range(10)
        for day in range(5)
        for hour in range(9)
    ]
    assert states(World(uses=uses, now=friday + 2 * D))["acme/eu"].state == "due"
    assert states(World(uses=uses, now=friday + 3 * D + 10 * H))["acme/eu"].state == "overdue"


@pytest.mark.parametrize(
    ("why", "waiver", "state"),
    [
        ("without a source it covers all of them", Waiver(rollover="r", client="acme", reason="x", by="ana"), "waived"),
        ("its own source", Waiver(rollover="r", client="acme", source="eu", reason="x", by="ana"), "waived"),
        ("another source", Waiver(rollover="r", client="acme", source="us", reason="x", by="ana"), "active"),
        ("another client", Waiver(rollover="r", client="globex", reason="x", by="ana"), "active"),
        ("another rollover", Waiver(rollover="q", client="acme", reason="x", by="ana"), "active"),
        (
            "valid at its from",
            Waiver(rollover="r", client="acme", reason="x", by="ana", from_ms=START + D + H),
            "waived",
        ),
        ("not before", Waiver(rollover="r", client="acme", reason="x", by="ana", from_ms=START + D + H + 1), "active"),
        (
            "not at its until",
            Waiver(rollover="r", client="acme", reason="x", by="ana", until_ms=START + D + H),
            "active",
        ),
        ("until then", Waiver(rollover="r", client="acme", reason="x", by="ana", until_ms=START + D + H + 1), "waived"),
    ],
)
def test_a_waiver_is_dated_and_named(why: str, waiver: Waiver, state: str) -> None:
    world = World(uses=DAILY, now=START + D + H, registry=registry(waivers=(waiver,)))
    assert states(world)["acme/eu"].state == state, why


def _with_clients(*clients: str) -> Registry:
    versions = (KeyVersion(version=1, credentials=(OLD,)), KeyVersion(version=2, credentials=(NEW,)))
    return registry(keys=(Key(key="k", versions=versions, clients=clients),))


@pytest.mark.parametrize(
    ("why", "clients", "uses", "suspect"),
    [
        ("a stranger since the rollover began", ("globex",), on_old(START + H), True),
        ("at its very start", ("globex",), on_old(START), True),
        ("a stranger from before is a customer nobody listed", ("globex",), on_old(START - H), False),
        ("a listed client is a new adopter", ("acme",), on_old(START + H), False),
        ("without a list nobody is a suspect", (), on_old(START + H), False),
    ],
)
def test_a_suspect_is_a_stranger_to_the_key_who_came_after_the_start(
    why: str, clients: tuple[str, ...], uses: list[Use], suspect: bool
) -> None:
    found = states(World(uses=uses, now=START + 2 * H, registry=_with_clients(*clients)))["acme/eu"]
    assert (found.state == "suspect") is suspect, why
    assert found.cleared is suspect, "a suspect never holds the gate; anybody else does"


def test_a_caller_without_a_name_is_no_suspect_and_blocks() -> None:
    uses = on_old(START + H, client=None)
    assert not states(World(uses=uses, now=START + 2 * H, registry=_with_clients("acme")))["-/eu"].cleared


@pytest.mark.parametrize(("cap", "cleared"), [(24, True), (23, False)])
def test_noise_is_cleared_within_its_cap_and_an_ordinary_caller_above(cap: int, cleared: bool) -> None:
    noise = Noise(client="acme", reason="probe", by="ana", max_per_day=cap)
    world = World(uses=every(H, first=START, last=START + 5 * D), now=START + 5 * D, registry=registry(noise=(noise,)))
    assert states(world)["acme/eu"].cleared is cleared


def test_expired_noise_is_an_ordinary_caller() -> None:
    noise = Noise(client="acme", reason="probe", by="ana", max_per_day=99, until_ms=START + 5 * D)
    world = World(uses=every(H, first=START, last=START + 5 * D), now=START + 5 * D, registry=registry(noise=(noise,)))
    assert not states(world)["acme/eu"].cleared
    assert states(world.at(START + 5 * D - 1))["acme/eu"].cleared


def test_silence_counts_from_the_end_of_the_last_blind_hour() -> None:
    world = World(uses=DAILY, now=START + 29 * D)
    assert states(world)["acme/eu"].state == "presumed_gone"
    heard = world.seen().gateways[0]
    outage = replace(heard, silences=((START + 10 * D, START + 10 * D + H),))
    blind = replace(world, telemetry={"gateways": (outage,)})
    assert states(blind)["acme/eu"].state == "overdue", "its use may have fallen into the outage"
    assert states(blind)["acme/eu"].clears_at_ms == START + 38 * D + H
    short = replace(heard, silences=((START + 10 * D, START + 10 * D + H - 1),))
    assert states(replace(world, telemetry={"gateways": (short,)}))["acme/eu"].state == "presumed_gone"


def test_a_success_on_a_later_version_proves_too_unless_that_is_being_retired_itself() -> None:
    versions = tuple(KeyVersion(version=each, credentials=(f"cred-{each}",)) for each in (1, 2, 3))
    first = Rollover(id="r", key="k", from_version=1, to_version=2, started_at_ms=START)
    uses = [*DAILY, Use(at=START + 2 * D, credential="cred-3")]
    plain = registry(keys=(Key(key="k", versions=versions),), rollovers=(first,))
    assert states(World(uses=uses, now=START + 4 * D, registry=plain))["acme/eu"].state == "migrated"
    leaving = Rollover(id="q", key="k", from_version=3, to_version=2, started_at_ms=START + 3 * D)
    both = replace(plain, rollovers=(first, leaving))
    assert states(World(uses=uses, now=START + 4 * D, registry=both))["acme/eu"].state == "overdue"
    assert states(World(uses=uses, now=START + 3 * D + 12 * H, registry=replace(plain, rollovers=(first,))))[
        "acme/eu"
    ].cleared


def test_a_moved_caller_does_not_hide_its_sibling_from_another_source() -> None:
    found = states(World(uses=moved(source="eu") + every(H, first=START - 90 * D, last=START + 30 * D, source="us")))
    assert found["acme/eu"].state == "migrated"
    assert found["acme/us"].state == "active"


def test_coming_back_to_the_old_version_is_named() -> None:
    uses = moved(at=START + D) + on_old(START + 5 * D)
    found = states(World(uses=uses, now=START + 6 * D))["acme/eu"]
    assert found.flip_flop_ms == START + 5 * D
    assert not found.cleared
    assert states(World(uses=moved(at=START + D), now=START + 6 * D))["acme/eu"].flip_flop_ms is None


def test_a_new_adopter_is_named_and_blocks() -> None:
    found = states(World(uses=on_old(START + H), now=START + 2 * H))["acme/eu"]
    assert found.new_adopter
    assert not found.cleared
    assert not states(World(uses=DAILY, now=START + 2 * D))["acme/eu"].new_adopter


def test_each_credential_of_the_old_version_falls_silent_by_its_own_rhythm() -> None:
    """A job every five days, with a credential of its own, is not proven by the hourly caller of the same name."""
    other = "cred-1b"
    versions = (KeyVersion(version=1, credentials=(OLD, other)), KeyVersion(version=2, credentials=(NEW,)))
    known = registry(keys=(Key(key="k", versions=versions),))
    slow = every(5 * D, first=START - 99 * D, last=START + D, credential=other)

    def state(uses: list[Use], now: int) -> str:
        return states(World(uses=uses, now=now, registry=known))["acme/eu"].state.value

    last_ms, soon = slow[-1].at, START + 4 * D
    assert state(moved(), soon) == "migrated"
    assert state([*moved(), *slow], soon) == "draining"
    assert state([*moved(), *slow], last_ms + int(7.5 * D) - 1) == "draining"
    assert state([*moved(), *slow], last_ms + int(7.5 * D)) == "migrated"
