"""Rows with labels from simulated fleets, and a detector's run over one: the material of training and of evaluation."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from models.detector import Detector
from models.episodes import Alert
from models.evaluate import LabelledFault
from models.state import FleetState
from models.synth.fleet import Fleet
from models.trees import Matrix

HEALTHY = -1
OTHER_VERSION = -2
_GRACE_SECONDS = 660


def labels(fleet: Fleet) -> list[LabelledFault]:
    """Return a fleet's faults as the evaluation takes them."""
    return [
        LabelledFault(
            key=f.key,
            version=f.version,
            cause=f.cause,
            first_at=fleet.start + timedelta(seconds=f.first_at),
            last_at=fleet.start + timedelta(seconds=f.last_at),
            failures=f.failures,
        )
        for f in fleet.faults
    ]


def run(fleet: Fleet, detector: Detector) -> list[Alert]:
    """Let a detector watch a fleet minute by minute, training it once a day."""
    detector.register(fleet.facts)
    alerts: list[Alert] = []
    for now, rows in fleet.minutes():
        alerts.extend(detector.observe(rows, now))
        if now.hour == 0 and now.minute == 0:
            detector.train(now)
    return alerts


def labelled_rows(fleet: Fleet) -> tuple[Matrix, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Return every look's features and, in step, (second, key, version, fault or HEALTHY or OTHER_VERSION, in rollover)."""
    state = FleetState()
    state.register(fleet.facts)
    index = {plan.name: plan.index for plan in fleet.plans}
    epoch = int(fleet.start.timestamp())
    rows, notes = [], []
    for now, batch in fleet.minutes():
        state.add(batch)
        for c in state.look(int(now.timestamp()) // 60 - 1, frozenset()):
            second = int(now.timestamp()) - epoch
            fault = HEALTHY
            for i, f in enumerate(fleet.faults):
                if f.key == c.key and f.first_at <= second <= f.last_at + _GRACE_SECONDS:
                    fault = i if f.version == c.version else OTHER_VERSION
            rows.append(c.features)
            notes.append((second, index[c.key], c.version, fault, int(c.in_rollover)))
    return np.array(rows, dtype=np.float64), np.array(notes, dtype=np.int64)
