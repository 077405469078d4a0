"""What all looks of one episode say of its cause together: no single minute decides, and a telling reason is kept.

Gateways differ in what they say: one tells `forbidden`, its neighbour one and the same word for all. A cause that is
read off the newest look alone swings with whoever failed last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

_FLOOR = -5.0
"""No look speaks against a cause more strongly: a single one may be misled."""
_OTHERWISE = -3.0
"""What a rule's verdict says of every other cause."""
_FADING = 0.9
"""What an earlier look still counts when a later one comes: that one has seen more, and most of what it saw."""
_TELLING = frozenset({"wrong_secret", "forbidden", "expired", "revoked", "not_yet_active"})
"""Reasons that a gateway gives only where it looked: they name what is wrong with the version."""
_TELLING_WEIGHT = 3.0


class CauseVotes:
    """Adds up log probabilities of causes over the looks of one episode; ties go to the first name."""

    __slots__ = ("_total", "_unnamed")

    def __init__(self) -> None:
        """Start with no vote."""
        self._total: dict[str, float] = {}
        self._unnamed = 0.0

    def hear(self, odds: Mapping[str, float], *, reason: str) -> str:
        """Add one look's log odds by cause and return the cause that leads now.

        Args:
            odds: comparable log odds; a single cause alone is a rule's verdict.
            reason: the look's leading reason.
        """
        top = max(odds.values())
        whole = top + math.log(sum(math.exp(v - top) for v in odds.values()))
        otherwise = _OTHERWISE if len(odds) == 1 else _FLOOR
        weight = _TELLING_WEIGHT if reason in _TELLING else 1.0
        for cause in odds.keys() | self._total.keys():
            said = max(_FLOOR, odds[cause] - whole) if cause in odds else otherwise
            self._total[cause] = _FADING * self._total.get(cause, self._unnamed) + weight * said
        self._unnamed = _FADING * self._unnamed + weight * otherwise
        return max(sorted(self._total), key=lambda cause: self._total[cause])
