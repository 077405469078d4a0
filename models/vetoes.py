"""Causes that structure rules out, whatever the trees believe: they know the habits of simulators, not of every fleet.

Where it decidedly matters who asks, no cause that hits everybody is to blame; where it matters at which gateway, none
that a caller brings along; and what every gateway of several regions refuses is not on its way to some of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from models.cause import Cause
from models.features import INDEX

_DECISIVE = math.log(1000.0)
"""Log Bayes factor (`models/contrasts.py`) that settles a question."""
_CLEARER = 3.0
"""By so much more must it matter than the other question: a caller often asks at one gateway alone."""
_PENALTY = 8.0
_SEVERAL = math.log1p(2) - 1e-6
"""Of counts kept as log1p."""
_HARDLY = 2.0
_OF_EVERYBODY = frozenset(
    {Cause.EARLY_REVOCATION, Cause.PREMATURE_EXPIRY, Cause.PROPAGATION_DELAY, Cause.STALE_GATEWAY}
)
_OF_CALLERS = frozenset({Cause.WRONG_SECRET, Cause.WRONG_ENVIRONMENT, Cause.RETRY_STORM, Cause.EARLY_REVOCATION})
_OF_PLACES = frozenset({Cause.PROPAGATION_DELAY, Cause.STALE_GATEWAY})


def without_ruled_out(odds: Mapping[str, float], features: tuple[float, ...]) -> dict[str, float]:
    """Return log odds by cause, those of causes that a row of `features.NAMES` rules out far below the others."""
    out = ruled_out(features)
    return {cause: value - _PENALTY if cause in out else value for cause, value in odds.items()}


def ruled_out(features: tuple[float, ...]) -> frozenset[Cause]:
    """Return the causes that cannot explain who fails where."""
    who = max(_of(features, "client_matters"), _of(features, "source_matters"))
    places = [_of(features, name) for name in ("gateway_matters", "sibling_matters", "region_matters")]
    out: frozenset[Cause] = frozenset()
    if who >= _DECISIVE and who > max(places) + _CLEARER:
        out |= _OF_EVERYBODY
        if who > _of(features, "route_matters") + _CLEARER:
            out |= {Cause.SCOPE_LOSS}
    if max(places) >= _DECISIVE and max(places) > who + _CLEARER:
        out |= _OF_CALLERS
    if _everywhere(features):
        out |= _OF_PLACES
    return out


def _everywhere(features: tuple[float, ...]) -> bool:
    """Tell whether every gateway that was asked, in two regions and more, refuses the new version alike."""
    return (
        _of(features, "is_to") > 0
        and _of(features, "failing_regions") >= _SEVERAL
        and _of(features, "fine_regions") == _of(features, "fine_in_failing_regions") == 0
        and max(_of(features, "gateway_matters"), _of(features, "region_matters")) < _HARDLY
    )


def _of(features: tuple[float, ...], name: str) -> float:
    return features[INDEX[name]]
