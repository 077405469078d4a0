"""A detector's run over a simulated fleet, and rows with labels: the material of training and of evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.detector import Detector
from models.episodes import Alert
from models.evaluate import LabelledFault
from models.observations import KeyFacts, UsageRow
from models.state import FleetState
from models.trees import Matrix

HEALTHY = -1
OTHER_VERSION = -2
SECOND, KEY, VERSION, FAULT, IN_ROLLOVER = range(5)
"""Columns of the notes beside labelled rows."""
_GRACE_SECONDS = 660

Notes = NDArray[np.int64]


class TrueFault(Protocol):
    """A label as a simulator gives it: from the first to the last failing request, in seconds from the start."""

    @property
    def key(self) -> str:
        """Return the key's name."""

    @property
    def version(self) -> int:
        """Return the version that failed."""

    @property
    def cause(self) -> str:
        """Return why."""

    @property
    def first_at(self) -> float:
        """Return the second of the first failing request."""

    @property
    def last_at(self) -> float:
        """Return the second of the last failing request."""

    @property
    def failures(self) -> int:
        """Return how many requests failed."""


class Watchable(Protocol):
    """A simulated history with its truth: a `Fleet`, or another world's `History`."""

    @property
    def start(self) -> datetime:
        """Return the time of second 0."""

    @property
    def facts(self) -> Sequence[KeyFacts]:
        """Return what the registry says of the keys, each key once."""

    @property
    def faults(self) -> Sequence[TrueFault]:
        """Return what truly failed."""

    @property
    def key_days(self) -> float:
        """Return the exposure that false episodes are counted against."""

    def minutes(self) -> Iterator[tuple[datetime, list[UsageRow]]]:
        """Yield (end of the minute, the aggregated rows that came in it) for every minute, empty ones too."""


def labels(fleet: Watchable) -> list[LabelledFault]:
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


def run(fleet: Watchable, detector: Detector) -> list[Alert]:
    """Let a detector watch a fleet minute by minute, training it once a day."""
    detector.register(fleet.facts)
    alerts: list[Alert] = []
    for now, rows in fleet.minutes():
        alerts.extend(detector.observe(rows, now))
        if now.hour == 0 and now.minute == 0:
            detector.train(now)
    return alerts


def labelled_rows(fleet: Watchable) -> tuple[Matrix, Notes]:
    """Return every look's features and, in step, the notes: when, which key version, which fault or none, in rollover.

    The fault is its index, HEALTHY, or OTHER_VERSION where the key's other version is the one that is broken.
    """
    state = FleetState()
    state.register(fleet.facts)
    index = {facts.key: i for i, facts in enumerate(fleet.facts)}
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
            rows.append(np.array(c.features, dtype=np.float32))
            notes.append((second, index[c.key], c.version, fault, int(c.in_rollover)))
    return np.array(rows, dtype=np.float32), np.array(notes, dtype=np.int64).reshape(-1, 5)
