"""When a score alone must not decide: trouble that is mostly nobody's failed rollover, and trouble beyond doubt."""

from __future__ import annotations

import math

from models.calibration import Thresholds
from models.features import INDEX
from models.history import CREDENTIAL, ERROR, FORBIDDEN, LIMITED, MALFORMED
from models.state import Candidate

_MANY, _MOST, _FEW_KEYS, _TEN_MINUTES = math.log1p(3), 0.5, math.log1p(2), math.log1p(10)
"""Of `everybody_fails`; counts and minutes are kept as log1p."""
_NO_REFUSAL = frozenset({LIMITED, MALFORMED, ERROR})
"""Requests without service for which no key was refused: mostly quotas, clients' bugs and outages."""
_DOUBT = 0.8
"""Log odds by which such trouble, and refusals of a retired version, must be surer to be a rollover's."""


def threshold_of(candidate: Candidate, thresholds: Thresholds, *, doubting: bool) -> float:
    """Return the threshold of a look's regime; `doubting` raises it where a probability speaks of doubtful trouble."""
    threshold = thresholds.rollover if candidate.in_rollover else thresholds.rest
    left = candidate.life.role == "from" and candidate.life.retired is not None
    if not doubting or not (left or candidate.evidence.kind in _NO_REFUSAL):
        return threshold
    odds = threshold / max(1e-9, 1.0 - threshold) * math.exp(_DOUBT)
    return odds / (1.0 + odds)


def everybody_fails(candidate: Candidate) -> bool:
    """Tell whether a version that worked fails for most of its callers, at this key alone, for ten minutes and more.

    Outside of rollovers the re-ranker knows only benign trouble: it has never seen one that is not.
    """
    row = candidate.features
    left = candidate.life.role == "from" and candidate.life.retired is not None
    return (
        not (candidate.in_rollover or left)
        and candidate.evidence.kind in {CREDENTIAL, FORBIDDEN}
        and row[INDEX["settled_failing"]] >= _MANY
        and row[INDEX["failing_share_of_callers"]] >= _MOST
        and row[INDEX["fail_share_1h"]] >= _MOST
        and row[INDEX["keys_failing"]] <= _FEW_KEYS
        and row[INDEX["lead_minutes"]] >= _TEN_MINUTES
    )
