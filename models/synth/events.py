"""Columns of simulated authentications, and the vocabulary they index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REASONS = (
    "ok",
    "missing_credential",
    "unknown_credential",
    "wrong_secret",
    "expired",
    "revoked",
    "not_yet_active",
    "forbidden",
    "malformed",
    "rate_limited",
    "gateway_error",
    "other",
)
CODE = {reason: index for index, reason in enumerate(REASONS)}
OK_CODE = CODE["ok"]
SERVED_BY_GATEWAY = frozenset({CODE["ok"], CODE["rate_limited"], CODE["gateway_error"]})
"""Reasons that go with an accepted credential."""

DAY_SECONDS = 86_400

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(slots=True, kw_only=True)
class Events:
    """Struct of arrays, one element an authentication; `at` in seconds from the fleet's start, `caller` -1 unknown."""

    at: Floats
    caller: Ints
    gateway: Ints
    route: Ints
    version: Ints
    reason: Ints

    def __len__(self) -> int:
        """Return the number of authentications."""
        return len(self.at)

    def take(self, index: NDArray[np.intp] | Bools) -> Events:
        """Return a copy of the chosen elements."""
        return Events(
            at=self.at[index],
            caller=self.caller[index],
            gateway=self.gateway[index],
            route=self.route[index],
            version=self.version[index],
            reason=self.reason[index],
        )


def block(
    at: Floats, *, caller: int | Ints, gateway: int | Ints, route: int | Ints, version: int, reason: int
) -> Events:
    """Build events from times and constants (or arrays of the same length)."""
    n = len(at)

    def column(value: int | Ints) -> Ints:
        return np.full(n, value, dtype=np.int32) if isinstance(value, int) else value.astype(np.int32)

    return Events(
        at=at.astype(np.float64),
        caller=column(caller),
        gateway=column(gateway),
        route=column(route),
        version=column(version),
        reason=column(reason),
    )


def concat(parts: list[Events]) -> Events:
    """Join parts and order them by time."""
    at = np.concatenate([p.at for p in parts])
    order = np.argsort(at, kind="stable")
    return Events(
        at=at[order],
        caller=np.concatenate([p.caller for p in parts])[order],
        gateway=np.concatenate([p.gateway for p in parts])[order],
        route=np.concatenate([p.route for p in parts])[order],
        version=np.concatenate([p.version for p in parts])[order],
        reason=np.concatenate([p.reason for p in parts])[order],
    )
