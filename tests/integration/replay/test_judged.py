"""Whole histories against the truth and an independent slow reading of the policy (`benchmarks/gate_histories.py`)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from monitor.simulate import tell

_BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("hidden-daily", 5),  # a second process of a moved caller stays behind
        ("late-logs", 5),  # a gateway's logs come hours late, with a use of the old version among them
    ],
)
def test_no_go_is_false_and_none_that_is_due_is_missed(kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(_BENCHMARKS)
    histories = import_module("gate_histories")
    story = tell(kind, seed)
    score = histories.judge(story, *histories.run(story, detector=False))
    assert (score.false_go, score.early, score.never, score.missing, score.wrong) == (0, 0, 0, 0, 0), score.notes
    assert score.due == 1
    assert max(score.waits) <= 4
