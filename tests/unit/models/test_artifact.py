"""Model files: written whole, read by name, refused with a reason when they are not what they claim."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.artifact import ArtifactError, ArtifactReason, load, save
from models.reranker import KIND, default_reranker, load_reranker, save_reranker


class Hostile:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:  # noqa: D105 - the protocol of pickle
        return os.system, ("touch hostile-was-here",)


def foreign(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 not a model")


def hostile_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile()))


def hostile_array(path: Path) -> None:
    np.savez(path.open("wb"), header=np.array([Hostile()], dtype=object))


def tampered(path: Path) -> None:
    save(path, kind="k", header={"a": 1}, arrays={"x": np.arange(9)})
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["x"] = arrays["x"] + 1
    np.savez(path.open("wb"), **arrays)


def other_kind(path: Path) -> None:
    save(path, kind="other", header={}, arrays={})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: None, ArtifactReason.MISSING),
        (foreign, ArtifactReason.FOREIGN),
        (hostile_pickle, ArtifactReason.FOREIGN),
        (hostile_array, ArtifactReason.FOREIGN),
        (tampered, ArtifactReason.TAMPERED),
        (other_kind, ArtifactReason.OUTDATED),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_nothing_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], reason: ArtifactReason
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.npz"
    spoil(path)
    with pytest.raises(ArtifactError) as caught:
        load(path, kind="k")
    assert caught.value.reason is reason
    assert "model.npz" in str(caught.value)
    assert not (tmp_path / "hostile-was-here").exists()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save(path, kind="k", header={"a": [1, "b"]}, arrays={"x": np.arange(6).reshape(2, 3)})
    header, arrays = load(path, kind="k")
    assert header["a"] == [1, "b"]
    assert arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_re_ranker_scores_the_same_after_a_round_trip(tmp_path: Path) -> None:
    model = default_reranker()
    path = tmp_path / "r.npz"
    save_reranker(path, model, notes={})
    again = load_reranker(path)
    rows = model.reference[:50]
    assert (again.score(rows) == model.score(rows)).all()
    assert again.thresholds(5.0) == model.thresholds(5.0)
    assert again.healthy is not None
    assert model.healthy is not None
    assert (again.healthy.rows == model.healthy.rows).all()
    assert (again.healthy.in_rollover == model.healthy.in_rollover).all()
    assert again.healthy.key_days == model.healthy.key_days
    assert again.causes is not None
    assert model.causes is not None
    row = tuple(rows[0].tolist())
    assert again.causes.weigh(row) == model.causes.weigh(row)


def test_a_re_ranker_whose_causes_have_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    save_reranker(path, default_reranker(), notes={})
    header, arrays = load(path, kind=KIND)
    del header["causes_depth"]
    save(path, kind=KIND, header=header, arrays=arrays)
    with pytest.raises(ArtifactError) as caught:
        load_reranker(path)
    assert caught.value.reason is ArtifactReason.FOREIGN
