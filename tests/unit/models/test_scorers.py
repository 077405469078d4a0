"""One suite that every detector of the odd passes (the contract of `models.scorers.Scorer`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from models.features import NAMES
from models.reranker import default_reranker
from models.scorers import ForestScorer, NotReadyError, Scorer, SurpriseBaseline
from models.state import FleetState
from tests.unit.models.rollover_traffic import DAY, START, facts, use
from tests.unit.models.rollover_traffic import healthy as healthy_rows

SCORERS: dict[str, Callable[[], Scorer]] = {
    "baseline": SurpriseBaseline,
    "forest": lambda: ForestScorer(seed=1, trees=60),
    "re-ranker": default_reranker,
}
COLD = ("baseline", "forest")
CLIENTS = ("acme", "globex", "initech")


def healthy(n: int = 200) -> np.ndarray:
    """Rows as the re-ranker's own healthy fleets show them."""
    reference = default_reranker().reference
    return reference[np.arange(n) % len(reference)]


@lru_cache(maxsize=1)
def harmful() -> np.ndarray:
    """The row of a region that refuses a new version to all who always got in."""
    state = FleetState()
    state.register([facts()])
    state.add(healthy_rows(range(2 * DAY)))
    state.look(int(START.timestamp()) // 60 + 2 * DAY - 1, frozenset())
    minutes = range(2 * DAY, 2 * DAY + 30)
    state.add(
        [
            use(m, version=2, client=c, gateway=g, reason="revoked", n=5)
            for m in minutes
            for c in CLIENTS
            for g in ("e1", "e2")
        ]
    )
    (found,) = state.look(int(START.timestamp()) // 60 + 2 * DAY + 29, frozenset())
    return np.array([found.features])


@pytest.fixture(params=sorted(SCORERS))
def fitted(request: pytest.FixtureRequest) -> Scorer:
    scorer = SCORERS[request.param]()
    scorer.fit(healthy())
    return scorer


def test_scores_lie_between_nothing_and_one(fitted: Scorer) -> None:
    scores = fitted.score(np.concatenate([healthy(), harmful(), 1e6 * harmful()]))
    assert scores.shape == (202,)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_what_is_harmful_scores_higher_than_what_is_usual(fitted: Scorer) -> None:
    assert fitted.score(harmful())[0] > np.quantile(fitted.score(healthy()), 0.9)


def test_scoring_teaches_nothing(fitted: Scorer) -> None:
    before = fitted.score(harmful())
    for _ in range(20):
        fitted.score(harmful())
    assert (fitted.score(harmful()) == before).all()


def test_the_same_history_gives_the_same_scores() -> None:
    for make in SCORERS.values():
        one, two = make(), make()
        one.fit(healthy())
        two.fit(healthy())
        assert (one.score(harmful()) == two.score(harmful())).all()


@pytest.mark.parametrize("name", COLD)
def test_a_cold_detector_says_so_instead_of_calling_it_normal(name: str) -> None:
    scorer = SCORERS[name]()
    assert not scorer.ready
    with pytest.raises(NotReadyError):
        scorer.score(harmful())


@pytest.mark.parametrize("name", COLD)
def test_too_short_a_history_leaves_it_cold(name: str) -> None:
    scorer = SCORERS[name]()
    scorer.fit(healthy(5))
    assert not scorer.ready


def test_rows_of_another_shape_are_refused(fitted: Scorer) -> None:
    with pytest.raises(ValueError, match="features"):
        fitted.score(np.zeros((1, len(NAMES) - 1)))


def test_a_number_that_is_none_does_not_stop_a_look(fitted: Scorer) -> None:
    row = harmful().copy()
    row[0, 0], row[0, 1] = np.nan, np.inf
    assert np.isfinite(fitted.score(row)).all()


def test_a_row_scores_the_same_alone_and_in_a_batch(fitted: Scorer) -> None:
    together = fitted.score(np.concatenate([healthy(), harmful()]))[-1]
    assert fitted.score(harmful())[0] == pytest.approx(together)


def test_a_history_without_any_failure_still_sees_one_and_names_the_blind_columns() -> None:
    forest = ForestScorer(seed=0, trees=60)
    forest.fit(np.zeros((300, len(NAMES))))
    assert "surprise_1h" in forest.blind
    assert forest.isolation(harmful())[0] > forest.isolation(np.zeros((1, len(NAMES))))[0] + 0.1
