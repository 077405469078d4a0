"""A cache remembers callers, not answers: time, blindness and events are all felt through it."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.callers import CallerCache
from monitor.core.decision import Status, Verdict
from tests.unit.gate.stories import NOW, D, H, edge, healthy
from tests.unit.gate.world import START, Use, World, every, moved, records

GONE = every(D, first=START - 99 * D, last=START, client="gone")


def status(world: World, clause: str) -> Status:
    return next(each.status for each in world.decide().clauses if each.id == clause)


def test_time_passes_for_a_caller_that_does_nothing_and_can_be_asked_backwards() -> None:
    world = World(uses=[*moved(), *GONE])
    callers = world.at(START + 25 * D).known().callers
    world = replace(world, cache=CallerCache(), evidence={"callers": callers})
    answers = [world.at(START + day * D).decide().verdict for day in (27, 28, 27, 28)]
    assert answers == [Verdict.NO_GO, Verdict.GO, Verdict.NO_GO, Verdict.GO]


def test_an_outage_is_felt_by_callers_that_were_gone() -> None:
    world = healthy(uses=[*moved(), *GONE], cache=CallerCache())
    world.evidence = {"callers": world.known().callers}
    assert status(world, "C7") is Status.PASS
    outage = edge(silences=((START + 10 * D, START + 11 * D),))
    assert status(replace(world, telemetry={"gateways": (outage,)}), "C7") is Status.FAIL
    assert status(world, "C7") is Status.PASS


def test_facts_that_grow_in_place_are_felt() -> None:
    world = healthy(cache=CallerCache())
    callers = records(moved())
    world.evidence = {"callers": callers}
    assert world.decide().verdict is Verdict.GO
    late = records([Use(at=NOW)])[0]
    old = next(each for each in callers if each.credential == late.credential)
    old.facts.merge(late.facts)
    for day in late.activity:
        old.activity.add(day)
    assert world.decide().verdict is Verdict.NO_GO


def test_a_caller_that_first_was_only_rejected_is_taken_in_when_it_succeeds() -> None:
    world = healthy(cache=CallerCache())
    callers = records([*moved(), Use(at=NOW - H, client="late", ok=False)])
    world.evidence = {"callers": callers}
    assert world.decide().verdict is Verdict.GO, "strangers who try the old key hold nothing"
    next(each for each in callers if each.client == "late").facts.merge(records([Use(at=NOW)])[0].facts)
    assert world.decide().verdict is Verdict.NO_GO


def test_residual_use_counts_by_arrival_too() -> None:
    slow = [Use(at=START - each * D, client="slow") for each in (100, 70, 40, 10)]
    late = Use(at=START + 20 * D, client="slow", arrived=NOW - H)
    world = healthy(uses=[*moved(), *slow, late])
    assert status(world, "C6") is Status.FAIL, "it arrived in the window, though it happened before"
    assert status(replace(world, uses=[*moved(), *slow, replace(late, arrived=None)]), "C6") is Status.PASS


def test_an_empty_roster_is_no_proof_that_everybody_moved() -> None:
    nobody = healthy(uses=[each for each in moved() if each.credential != "cred-1"])
    assert status(nobody, "C7") is Status.UNKNOWN
    assert status(replace(nobody, evidence={"never_used_acknowledged_by": "ana"}), "C7") is Status.PASS
