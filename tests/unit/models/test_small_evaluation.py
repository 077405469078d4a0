"""A small simulated fleet, watched and scored: a floor under the whole path, and the scoring itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models.detector import Detector
from models.evaluate import EpisodeRecord, LabelledFault, read_alerts, records, report, score_fleet
from models.reranker import default_reranker
from models.synth import Fleet, seeds, simulate
from models.synth.watched import labels, run
from tests.unit.models.rollover_traffic import START


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return simulate(7, keys=40, days=5, failing_share=0.7, busiest=0.4)


def test_the_shipped_detector_stays_above_its_floor(fleet: Fleet) -> None:
    found = score_fleet(records(run(fleet, Detector(reranker=default_reranker()))), labels(fleet), fleet.key_days)
    assert len(found.faults) >= 8
    assert sum(f.delay_windows is not None for f in found.faults) >= 0.6 * len(found.faults)
    assert sum(f.points for f in found.faults) >= 0.35 * len(found.faults)
    assert found.false_episodes <= 8


def test_a_seed_gives_one_fleet(fleet: Fleet) -> None:
    again = simulate(7, keys=40, days=5, failing_share=0.7, busiest=0.4)
    assert again.faults == fleet.faults
    assert (again.events.at == fleet.events.at).all()


def test_no_seed_serves_two_purposes() -> None:
    lists = (seeds.TRAINING, seeds.CALIBRATION, seeds.TUNING, seeds.REPORT)
    assert len({s for one in lists for s in one}) == sum(map(len, lists))


FAULT = LabelledFault(key="k", version=2, cause="wrong_secret", first_at=START, last_at=START + timedelta(hours=2))


@pytest.mark.parametrize(
    ("minutes", "cause", "points", "false"),
    [
        (4, "wrong_secret", 1.0, 0),
        (4, "unknown", 0.7, 0),
        (34, "wrong_secret", 0.65, 0),
        (179, "wrong_secret", 0.7 * 2 ** (-35 / 6) + 0.3, 0),
        (181, "wrong_secret", 0.0, 1),
        (-1, "wrong_secret", 0.0, 1),
    ],
)
def test_points_halve_every_half_hour_and_alerts_outside_a_fault_are_false(
    minutes: int, cause: str, points: float, false: int
) -> None:
    told = [EpisodeRecord(key="k", opened_at=START + timedelta(minutes=minutes), cause=cause)]
    found = score_fleet(told, [FAULT], key_days=1000.0)
    assert found.faults[0].points == pytest.approx(points)
    assert found.false_episodes == false
    assert found.score == pytest.approx(100 * points - false)


def test_a_report_bounds_its_means_and_counts_confusions() -> None:
    right = score_fleet([EpisodeRecord(key="k", opened_at=START, cause="wrong_secret")], [FAULT], 100.0)
    missed = score_fleet([], [FAULT], 100.0)
    found = report([right, missed])
    assert found.recall.low <= found.recall.mean == 0.5 <= found.recall.high
    assert dict(found.causes[0].named) == {"wrong_secret": 1, "missed": 1}


def test_alerts_of_a_replay_make_one_record_an_episode_with_its_last_cause() -> None:
    lines = [
        '{"kind": "straggler", "episode": "s", "key": "k", "at": "2026-05-01T00:00:00Z", "cause": null}',
        '{"kind": "failed_rollover", "episode": "e", "key": "k", "at": "2026-05-01T00:00:00Z", "cause": "unknown"}',
        '{"kind": "failed_rollover", "episode": "e", "key": "k", "at": "2026-05-01T00:10:00Z", "cause": "scope_loss"}',
        '{"kind": "resolved", "episode": "e", "key": "k", "at": "2026-05-01T03:00:00Z", "cause": "scope_loss"}',
    ]
    assert read_alerts(lines) == [EpisodeRecord(key="k", opened_at=START, cause="scope_loss")]
