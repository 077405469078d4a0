"""Votes on a cause over the looks of one episode, and rows that come late or in disorder."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detector import Detector
from models.episodes import Alert
from models.history import KeyPast
from models.observations import UsageRow
from models.reranker import default_reranker
from models.votes import CauseVotes
from tests.unit.models.rollover_traffic import DAY, at, facts, healthy, use, watch

SURE = {"scope_loss": 3.0, "stale_gateway": 0.0}
CONTRARY = {"scope_loss": 0.0, "stale_gateway": 3.0}


def heard(*looks: tuple[dict[str, float], str]) -> str:
    votes = CauseVotes()
    return [votes.hear(odds, reason=reason) for odds, reason in looks][-1]


@pytest.mark.parametrize(
    ("looks", "cause", "why"),
    [
        ([(SURE, "other")], "scope_loss", "one look decides alone"),
        ([(SURE, "other")] * 2 + [(CONTRARY, "other")], "scope_loss", "one look against two changes nothing"),
        ([(SURE, "other")] + [(CONTRARY, "other")] * 2, "stale_gateway", "two looks against one do"),
        ([(SURE, "forbidden")] + [(CONTRARY, "other")] * 2, "scope_loss", "a telling reason weighs more than silence"),
        ([(SURE, "other"), ({"upstream_outage": 0.0}, "other")], "scope_loss", "a rule does not undo a clear look"),
        ([({"early_revocation": 0.0}, "revoked"), (CONTRARY, "other")], "early_revocation", "a rule's telling verdict"),
        ([({"a": 0.0, "b": -900.0}, "other")] + [({"a": -2.0, "b": 0.0}, "other")] * 4, "b", "nothing is ruled out"),
    ],
)
def test_the_looks_of_an_episode_decide_together(
    looks: list[tuple[dict[str, float], str]], cause: str, why: str
) -> None:
    assert heard(*looks) == cause, why


@given(st.permutations([SURE, SURE, CONTRARY, SURE, CONTRARY]))
def test_a_clear_majority_wins_in_any_order(looks: list[dict[str, float]]) -> None:
    assert heard(*((odds, "other") for odds in looks)) == "scope_loss"


def past_of(rows: list[UsageRow]) -> KeyPast:
    past = KeyPast()
    for row in rows:
        past.add(row)
    return past


OK_BEFORE = [use(m) for m in range(0, 50, 5)]
REFUSED = [use(m, reason="unknown_credential") for m in (60, 61, 62)]


def test_a_success_that_comes_late_is_no_recovery() -> None:
    late = past_of([*OK_BEFORE, *REFUSED, use(55)]).callers["acme", "prod"].versions[1]
    assert (late.streak, late.last_ok, late.ok_since_run) == (3, past_minute(55), 0)


def test_a_failure_that_comes_late_does_not_undo_a_recovery() -> None:
    late = past_of([*OK_BEFORE, *REFUSED, use(70), use(63, reason="unknown_credential")])
    assert late.callers["acme", "prod"].versions[1].streak == 0


def past_minute(minute: int) -> int:
    return use(minute).bucket // 60


def test_late_and_repeated_rows_do_not_change_what_is_told() -> None:
    began = 2 * DAY + 90
    neat = healthy(range(began), every=10) + [
        use(m, version=2, client=c, gateway=g, reason="ok" if g == "u1" else "unknown_credential", n=2)
        for m in range(began, began + 60, 2)
        for c in ("acme", "globex", "initech")
        for g in ("e1", "e2", "u1")
    ]
    rng = random.Random(5)
    told = watch(neat, key=facts(), until=began + 240)
    messy = watch_late(neat, rng, until=began + 240)
    assert [(a.action, a.finding.cause) for a in messy] == [(a.action, a.finding.cause) for a in told]


def watch_late(rows: list[UsageRow], rng: random.Random, *, until: int) -> list[Alert]:
    """Let a tenth of the rows arrive up to five minutes late, and one in a hundred twice."""
    detector = Detector(reranker=default_reranker())
    detector.register([facts()])
    start = past_minute(0)
    by_minute: dict[int, list[UsageRow]] = {}
    for row in rows:
        minute = row.bucket // 60 - start
        late = rng.randint(1, 5) if rng.random() < 0.1 else 0
        for _ in range(2 if rng.random() < 0.01 else 1):
            by_minute.setdefault(minute + late, []).append(row)
    return [a for m in range(until) for a in detector.observe(by_minute.get(m, []), at(m + 1))]
