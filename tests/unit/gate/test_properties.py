"""What must hold of any history (hypothesis), against the book's formulas on raw events where there are any."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.callers import CallerCache, profile
from monitor.core.decision import Decision, Verdict
from monitor.core.evidence import CallerRecord
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.policy import Policy
from tests.unit.gate import oracle
from tests.unit.gate.world import NEW, OLD, START, Use, World, every, records

D, H = DAY_MS, HOUR_MS
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

POLICIES = st.sampled_from(
    [
        Policy(),
        Policy(gone_after_ms=0),
        Policy(quiet_window_ms=3 * D, settle_ms=H),
        Policy(quiet_window_ms=D, settle_ms=0),
    ]
)


@st.composite
def a_caller(draw: st.DrawFn, client: str = "acme") -> list[Use]:
    """Draw one caller: a rhythm on the old version, a move (or none) through a time of both, now and then a fault."""
    step = draw(st.sampled_from([H, 6 * H, D, 7 * D, 30 * D]))
    begin = START - draw(st.integers(1, 150)) * D + draw(st.integers(0, D))
    moves = START + draw(st.integers(0, 20 * D))
    done = moves + draw(st.sampled_from([0, H, D, 6 * D, 60 * D]))
    dice = Random(draw(st.integers(0, 1 << 32)))
    uses = []
    at = max(begin, START - 40 * step)
    while at < START + 40 * D:
        on_new = at >= moves and (at >= done or dice.random() < 0.6)
        ok = dice.random() > 0.02
        uses.append(
            Use(
                at=at,
                client=client,
                credential=NEW if on_new else OLD,
                ok=ok,
                served=ok and dice.random() > 0.02,
                region=dice.choice([None, "eu", "us"]),
                count=dice.choice([1, 1, 5]),
            )
        )
        at += step + int(dice.gauss(0, 0.05) * step)
    return uses


@st.composite
def a_world(draw: st.DrawFn) -> World:
    uses = draw(a_caller("acme")) + draw(a_caller("globex"))
    now = START + draw(st.integers(D, 39 * D))
    return World(uses=uses, now=now, policy=draw(POLICIES))


def by_client(uses: list[Use], credential: str, client: str = "acme") -> list[CallerRecord]:
    return [each for each in records(uses) if each.credential == credential and each.client == client]


@QUICK
@given(uses=a_caller(), policy=POLICIES)
def test_nobody_clears_before_the_book_says_so(uses: list[Use], policy: Policy) -> None:
    if not any(each.credential == OLD and each.ok for each in uses):
        return
    found, _ = profile(by_client(uses, OLD), by_client(uses, NEW), policy)
    migrated, gone = oracle.clears_at(uses, policy)
    assert (found.migrated_at_ms or oracle.NEVER) >= migrated
    if found.gone_silence_ms is not None:
        assert found.last_sign_ms + found.gone_silence_ms >= gone


@QUICK
@given(step=st.sampled_from([10 * MINUTE_MS, H, D]), moves=st.integers(0, 5 * D), overlap=st.integers(0, 20 * H))
def test_a_steady_caller_clears_within_an_hour_and_a_half_of_the_book(step: int, moves: int, overlap: int) -> None:
    old = every(step, first=START - 20 * D, last=START + moves + overlap)
    new = every(step, first=START + moves + step // 2, last=START + 20 * D, credential=NEW)
    found, _ = profile(by_client(old, OLD), by_client(new, NEW), Policy())
    migrated, _ = oracle.clears_at([*old, *new], Policy())
    assert found.migrated_at_ms is not None
    # twelve half hours of rounding reach beyond settle only where the mean gap is over two hours
    assert 0 <= found.migrated_at_ms - migrated <= 1.5 * H


@QUICK
@given(world=a_world(), ago=st.integers(0, 2 * D))
def test_one_more_old_use_by_a_caller_that_has_not_moved_never_makes_it_go(world: World, ago: int) -> None:
    before = world.decide()
    used = Use(at=world.now - min(ago, world.policy.quiet_window_ms), client="globex")
    after = replace(world, uses=[*world.uses, used]).decide()
    if before.verdict is not Verdict.GO:
        held = {each.caller.client for each in before.blockers if each.caller is not None}
        assert after.verdict is not Verdict.GO or "globex" not in held
    fresh = replace(world, uses=[*world.uses, Use(at=world.now, client="newcomer")])
    assert fresh.decide().verdict is not Verdict.GO


def told(decision: Decision) -> dict[str, object]:
    return dict(decision.as_json())


@QUICK
@given(world=a_world(), seed=st.integers(0, 1 << 32))
def test_the_order_of_arrival_and_of_partitions_changes_nothing(world: World, seed: int) -> None:
    dice = Random(seed)
    shuffled = list(world.uses)
    dice.shuffle(shuffled)
    assert told(replace(world, uses=shuffled).decide()) == told(world.decide())
    callers = list(world.known().callers)
    dice.shuffle(callers)
    assert told(replace(world, evidence={"callers": tuple(callers)}).decide()) == told(world.decide())


@settings(QUICK, max_examples=30)
@given(world=a_world(), cut=st.integers(0, 60 * D))
def test_a_cache_never_changes_an_answer(world: World, cut: int) -> None:
    cache = CallerCache()
    times = [world.now - cut, world.now - H, world.now, world.now + H, world.now + 5 * D, world.now - 3 * D]
    for now in times:
        warm = replace(world.at(now), cache=cache).decide()
        assert told(warm) == told(world.at(now).decide())


HIDE: dict[str, dict[str, object]] = {
    "the ingest": {"replayed": False},
    "the history": {"history_start_ms": None},
    "the gateways": {"gateways": ()},
    "half of the history": {"history_start_ms": START - 20 * D},
}


@QUICK
@given(world=a_world(), hidden=st.sampled_from(sorted(HIDE)))
def test_hiding_evidence_about_our_eyes_never_makes_it_go(world: World, hidden: str) -> None:
    assert replace(world, telemetry=HIDE[hidden]).decide().verdict is not Verdict.GO


@QUICK
@given(world=a_world(), credential=st.sampled_from([OLD, NEW]))
def test_hiding_a_whole_version_never_makes_it_go(world: World, credential: str) -> None:
    kept = [each for each in world.uses if each.credential != credential]
    assert replace(world, uses=kept).decide().verdict is not Verdict.GO


@QUICK
@given(world=a_world())
def test_hiding_proofs_never_makes_it_go(world: World) -> None:
    """The first proof stays: uses of the old version since then are what a second process is known by."""
    proofs = [each for each in world.uses if each.credential == NEW and each.ok]
    first = {each.client: each for each in sorted(proofs, key=lambda each: (each.served, -each.at))}
    kept = [each for each in world.uses if each not in proofs or each is first[each.client] or each.at % 3]
    before = world.decide().verdict
    assert before is Verdict.GO or replace(world, uses=kept).decide().verdict is not Verdict.GO


@QUICK
@given(world=a_world())
def test_whoever_blocks_is_named_and_every_non_go_says_why(world: World) -> None:
    decision = world.decide()
    assert (decision.verdict is Verdict.GO) == (not decision.blockers)
    assert all(each.summary and each.what_would_clear_it for each in decision.blockers)
    named = [each.caller for each in decision.blockers if each.clause == "C7" and each.caller is not None]
    assert len(named) == len(set(named)), "one blocker a caller"
    assert decision.blast_radius.callers == len(named)


@QUICK
@given(world=a_world())
def test_what_clears_by_waiting_clears_at_its_hour_and_not_before(world: World) -> None:
    quiet = replace(world, uses=[each for each in world.uses if each.at <= world.now])
    for blocker in quiet.decide().blockers:
        at = blocker.clears_at_ms
        if blocker.clause != "C7" or blocker.caller is None or at is None:
            continue

        def holds(now: int, who: object = blocker.caller) -> bool:
            return any(each.caller == who and each.clause == "C7" for each in quiet.at(now).decide().blockers)

        assert holds(at - 1)
        assert not holds(at)
