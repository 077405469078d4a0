"""Brownouts, tripwires and rotation schedules."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from monitor.core.brownout import Window, measure, plan
from monitor.core.callers import Standing
from monitor.core.callers.tripwire import tripped
from monitor.core.decision import CallerName
from monitor.core.gate import caller_states
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339
from monitor.core.policy import Policy
from monitor.core.registry import Key, KeyVersion, Registry, Rollover, Waiver
from monitor.core.rotation import RotationRule, RotationState, rotations
from tests.unit.gate.world import OLD, START, Use, World, every, moved, records, registry

MONDAY = parse_rfc3339("2026-05-11T00:00:00Z")
STEPS = Policy().brownout_steps_ms
OFFICE = [
    Use(at=MONDAY - day * DAY_MS + 9 * HOUR_MS + minute * MINUTE_MS, client="office")
    for day in range(1, 60)
    if (MONDAY // DAY_MS - day + 3) % 7 < 5
    for minute in range(0, 480, 4)
]
NIGHTLY = every(DAY_MS, first=MONDAY - 60 * DAY_MS + 2 * HOUR_MS, last=MONDAY - DAY_MS + 2 * HOUR_MS, client="nightly")
MONTHLY = every(30 * DAY_MS, first=MONDAY - 100 * DAY_MS, last=MONDAY - DAY_MS, client="monthly")


def standings(uses: list[Use], **registered: object) -> Sequence[Standing]:
    world = World(uses=uses, now=MONDAY, registry=registry(**registered))
    return caller_states(
        rollover=world.registry.rollovers[0],
        registry=world.registry,
        policy=world.policy,
        evidence=world.known(),
        telemetry=world.seen(),
    )


def names(*clients: str) -> set[CallerName]:
    return {CallerName(client=client, source="eu") for client in clients}


def test_windows_grow_and_lie_in_the_stragglers_own_hours() -> None:
    found = plan(standings([*OFFICE, *NIGHTLY, *MONTHLY]), STEPS, from_ms=MONDAY + 3 * MINUTE_MS)
    assert [each.until_ms - each.from_ms for each in found.windows] == list(STEPS)
    assert all(a.until_ms < b.from_ms for a, b in zip(found.windows, found.windows[1:], strict=False))
    hours = [(each.from_ms % DAY_MS) / HOUR_MS for each in found.windows]
    assert 9 <= hours[0] < 17, "five minutes reach an office in its hours, not a nightly run"
    assert set(found.windows[0].hit) == names("office")
    assert set(found.windows[-1].hit) >= names("office", "nightly") - (names("nightly") if hours[-1] > 2 else set())


def test_whoever_cannot_be_reached_is_named() -> None:
    found = plan(standings([*OFFICE, *MONTHLY]), STEPS, from_ms=MONDAY)
    assert set(found.unreached) == names("monthly")
    assert found.coverage == 0.5
    assert found.stragglers == 2


def test_a_nightly_run_is_reached_by_the_longest_window() -> None:
    found = plan(standings(NIGHTLY), STEPS, from_ms=MONDAY)
    assert set(found.windows[2].hit) == names("nightly")
    assert not found.unreached


def test_without_stragglers_there_is_nothing_to_plan() -> None:
    found = plan(standings([]), STEPS, from_ms=MONDAY)
    assert (found.windows, found.coverage, found.unreached) == ((), 0.0, ())


def test_a_window_is_measured_and_ended_when_it_hits_somebody_who_had_moved() -> None:
    uses = [*OFFICE, *moved("gone", at=START + HOUR_MS, step=HOUR_MS)]
    known = standings(uses)
    window = plan(known, STEPS, from_ms=MONDAY).windows[0]
    refused = [Use(at=window.from_ms + MINUTE_MS, client="office", ok=False)]

    def came(more: list[Use]) -> object:
        callers = records([*uses, *refused, *more])
        return measure(
            window,
            tripped(callers, old_credentials=frozenset({OLD}), since_ms=window.from_ms),
            known,
            abort_above=limit,
            now_ms=now,
        )

    limit, now = 1, window.until_ms
    fine = came([])
    assert (fine.hit, fine.unplanned, fine.abort) == (tuple(names("office")), (), None)  # type: ignore[attr-defined]
    surprised = came([Use(at=window.from_ms + MINUTE_MS, client="gone", ok=False)])
    assert "gone/eu" in surprised.abort  # type: ignore[attr-defined]
    limit = 0
    assert "1 callers were refused" in came([]).abort  # type: ignore[attr-defined]
    limit, now = 1, window.until_ms + 1
    assert "it was to end at" in came([]).abort  # type: ignore[attr-defined]


def test_a_refused_suspect_or_waived_caller_is_named_and_ends_no_window() -> None:
    uses = [*OFFICE, Use(at=MONDAY - DAY_MS, client="outsider"), *moved("given-up", at=START + HOUR_MS, step=HOUR_MS)]
    waived = Waiver(
        rollover="r", client="given-up", source=None, reason="goes away", by="ana", from_ms=0, until_ms=None
    )
    versions = registry().keys[0].versions
    known = standings(uses, keys=(Key(key="k", versions=versions, clients=("office", "given-up")),), waivers=(waived,))
    refused = [Use(at=MONDAY + MINUTE_MS, client=each, ok=False) for each in ("outsider", "given-up")]
    came = tripped(records([*uses, *refused]), old_credentials=frozenset({OLD}), since_ms=MONDAY)
    window = Window(from_ms=MONDAY, until_ms=MONDAY + HOUR_MS, coverage=0.0, hit=())
    found = measure(window, came, known, abort_above=0, now_ms=MONDAY + 2 * MINUTE_MS)
    assert ({each.client for each in found.hit}, found.abort) == ({"outsider", "given-up"}, None)


def test_a_tripwire_names_known_callers_and_no_strangers() -> None:
    uses = [
        Use(at=START, client="known"),
        Use(at=START + DAY_MS, client="known", ok=False),
        Use(at=START + DAY_MS, client="stranger", ok=False),
        Use(at=START, client="quiet"),
        Use(at=START + DAY_MS, client="user"),
    ]
    found = tripped(records(uses), old_credentials=frozenset({OLD}), since_ms=START + DAY_MS)
    assert [(each.caller.client, each.accepted_ms, each.rejected_ms) for each in found] == [
        ("known", None, START + DAY_MS),
        ("user", START + DAY_MS, None),
    ]


@pytest.mark.parametrize(
    ("why", "created", "expires", "rolling", "state"),
    [
        ("young", 10, None, False, RotationState.FRESH),
        ("a month before its age", 60, None, False, RotationState.DUE),
        ("at its age", 90, None, False, RotationState.OVERDUE),
        ("a rollover runs", 60, None, True, RotationState.ROLLING),
        ("a rollover runs and is late", 90, None, True, RotationState.OVERDUE),
        ("expiry comes before age", 10, 20, False, RotationState.DUE),
        ("expired", 10, 0, False, RotationState.OVERDUE),
        ("nobody wrote down when it was made", None, None, False, RotationState.UNDATED),
    ],
)
def test_a_key_is_due_by_age_or_expiry(
    why: str, created: int | None, expires: int | None, rolling: bool, state: RotationState
) -> None:
    version = KeyVersion(
        version=1,
        credentials=("c",),
        created_at_ms=None if created is None else MONDAY - created * DAY_MS,
        expires_at_ms=None if expires is None else MONDAY + expires * DAY_MS,
    )
    rollover = Rollover(id="r", key="k", from_version=1, to_version=2, started_at_ms=MONDAY - DAY_MS)
    world = Registry(keys=(Key(key="k", versions=(version,)),), rollovers=(rollover,) if rolling else ())
    assert rotations(world, RotationRule(), now_ms=MONDAY)[0].state is state, why


def test_the_most_urgent_key_comes_first_and_the_newest_version_counts() -> None:
    def key(name: str, *ages: int) -> Key:
        versions = tuple(
            KeyVersion(version=number, credentials=(), created_at_ms=MONDAY - age * DAY_MS)
            for number, age in enumerate(ages, 1)
        )
        return Key(key=name, versions=versions)

    world = Registry(keys=(key("renewed", 400, 5), key("old", 400), key("soon", 70), key("announced", 70, -5)))
    found = rotations(world, RotationRule(), now_ms=MONDAY)
    assert [(each.key, each.version) for each in found] == [("old", 1), ("announced", 1), ("soon", 1), ("renewed", 2)]
