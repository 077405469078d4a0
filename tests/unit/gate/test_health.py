"""C8's plain test: the new version's failures of known callers against the old version's own baseline."""

from __future__ import annotations

import pytest

from monitor.core.decision import Verdict
from monitor.core.evidence import OpenIncident, RequestCounts
from monitor.core.gate.c8_health import tail, upper_rate
from monitor.core.instants import MINUTE_MS
from tests.unit.gate.stories import NOW, blocked, healthy
from tests.unit.gate.world import NEW, OLD, Use, every, moved

FAILING = [
    Use(at=NOW - (2 * each + 1) * MINUTE_MS - 1, credential=NEW, ok=False, client=client)
    for each in range(40)
    for client in ("acme", "globex")
]
BOTH = [*moved(), *moved("globex"), Use(at=NOW, credential=NEW), Use(at=NOW, credential=NEW, client="globex")]


@pytest.mark.parametrize(
    ("why", "now", "before", "fails"),
    [
        ("80 of 1,000 where it was 1 in 1,000", (920, 80), (9990, 10), True),
        ("8 % were usual before the rollover", (920, 80), (920, 80), False),
        ("below one per cent nobody asks", (9920, 80), (10**6, 0), False),
        ("three failures of three", (0, 3), (9990, 10), True),
        ("two failures are an accident", (0, 2), (9990, 10), False),
        ("no baseline: one per cent is the baseline", (920, 80), (0, 0), True),
        ("nothing happened", (0, 0), (9990, 10), False),
    ],
)
def test_the_new_version_may_not_fail_more_than_the_old_one_did(
    why: str, now: tuple[int, int], before: tuple[int, int], fails: bool
) -> None:
    evidence = {
        "last_day": {NEW: RequestCounts(accepted=now[0], rejected=now[1])},
        "before_start": {OLD: RequestCounts(accepted=before[0], rejected=before[1])},
    }
    decision = healthy(uses=[*BOTH, *FAILING], evidence=evidence).decide()
    assert (decision.verdict is Verdict.NO_GO) is fails, why
    if fails:
        blocked(decision, "C8", "known callers")


def test_strangers_who_try_the_new_key_do_not_fail_it() -> None:
    stuffing = every(MINUTE_MS, first=NOW - 99 * MINUTE_MS, last=NOW, credential=NEW, client="x", ok=False)
    evidence = {"last_day": {NEW: RequestCounts(accepted=10, rejected=10_000)}}
    assert healthy(uses=[*BOTH, *stuffing], evidence=evidence).decide().verdict is Verdict.GO


def test_one_callers_own_fault_does_not_fail_it_once_found_out() -> None:
    mine = [each for each in FAILING if each.client == "acme"]
    fault = OpenIncident(
        incident="i", version=2, cause="caller_fault", opened_at_ms=NOW, summary="bad deployment", holds_gate=False
    )
    last_day = {NEW: RequestCounts(accepted=100, rejected=40)}
    assert healthy(uses=[*BOTH, *mine], evidence={"last_day": last_day}).decide().verdict is Verdict.NO_GO
    explained = healthy(uses=[*BOTH, *mine], evidence={"last_day": last_day, "incidents": (fault,)})
    assert explained.decide().verdict is Verdict.GO


@pytest.mark.parametrize(
    ("k", "n", "p", "expected"),
    [(1, 1, 0.01, 0.01), (2, 2, 0.5, 0.25), (3, 10, 0.1, 0.0701908), (5, 5, 1.0, 1.0), (50, 10**6, 1e-5, 3.98e-19)],
)
def test_the_exact_tail(k: int, n: int, p: float, expected: float) -> None:
    assert tail(k, n, p) == pytest.approx(expected, rel=0.02)


def test_the_baselines_upper_bound_covers_small_samples() -> None:
    assert upper_rate(RequestCounts()) == 0.0
    assert upper_rate(RequestCounts(accepted=10)) == pytest.approx(0.2775, abs=1e-3)
    assert upper_rate(RequestCounts(accepted=99_000, rejected=1_000)) == pytest.approx(0.01, abs=1e-3)
