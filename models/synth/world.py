"""The dice behind a fleet: each draws its own constants and dialect, so that no model can learn one world."""

# ruff: noqa: PLR2004 - the dice are the simulator
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REALISTIC = "realistic"
HARD = "hard"

BENIGN_KINDS = (
    "zombie",
    "probe",
    "typed_in",
    "staging",
    "bad_deployment",
    "flapping",
    "surge",
    "onboarding",
    "quota_burst",
    "stuffing",
    "blip",
    "batch_noise",
)
"""Events per key that are nobody's failed rollover."""


NAMED_ALWAYS, NAMED_BY_GATEWAY, NAMED_BY_REASON, NAMED_NEVER = "always", "by_gateway", "by_reason", "never"
NAMED_WHERE_FOUND = "where_found"
ENVIRONMENTS, ADDRESSES, PODS, NO_SOURCES = "environments", "addresses", "pods", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a fleet's gateways write down. Real ones leave out much of what one would like to know.

    naming: which failures carry their client: all, those of some gateways, those whose credential was found (at all
        gateways, or at some of them: `where_found`), none.
    sources: an environment's name, an address for each caller, one for each of its pods, or nothing.
    strangers: how callers that nobody knows appear: without a name, each under another, or all under one.
    words: whether gateways that hide reasons differ in their word for all of them.
    """

    naming: str
    regions: bool
    sources: str
    routes_of_failures: bool
    routes_of_successes: bool
    retirements: bool
    expiries: bool
    strangers: str
    words: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One fleet's constants.

    `clients` is the number of principals that keys share; `shared_client_share` of keys have one for all their callers;
    `under_way_share` of rollovers began before the history did, `slow_share` are moved to over all of their overlap,
    `uneven_share` of slow propagations end gateway by gateway; `late_share` of records come late, by `late_minutes` on
    average, and `repeated_share` twice. Rates are requests a minute, `benign_rates` events per
    key-day, `noise` the usual share of requests with a reason.
    """

    level: str
    regions: int
    gateways_per_region: int
    median_rate: float
    rate_sigma: float
    callers_mean: float
    batch_share: float
    multi_region_share: float
    night_depth: float
    weekend_depth: float
    hidden_gateway_share: float
    hidden_reason: str
    rollover_share: float
    failing_share: float
    overlap_days: float
    under_way_share: float
    slow_share: float
    switch_median_hours: float
    switch_sigma: float
    pod_ramp_minutes: float
    first_retry_share: float
    fallback_share: float
    weak_share: float
    retry_share: float
    fault_hours: float
    outage_rate: float
    left_behind_share: float
    earlier_rollover_share: float
    clients: int
    shared_client_share: float
    uneven_share: float
    late_share: float
    late_minutes: float
    repeated_share: float
    dialect: Dialect
    benign_rates: dict[str, float]
    noise: dict[str, float]


def draw_world(rng: np.random.Generator, level: str, failing_share: float | None = None) -> World:
    """Draw a fleet's constants.

    Args:
        rng: source of the dice.
        level: `realistic` or `hard` (weaker faults, more reasons hidden, more benign trouble).
        failing_share: share of rollovers that fail; None for one in eight.

    Raises:
        ValueError: for an unknown level.
    """
    if level not in {REALISTIC, HARD}:
        raise ValueError(f"unknown level {level!r}: expected {REALISTIC!r} or {HARD!r}")
    hard = level == HARD

    def span(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def about(median: float, sigma: float) -> float:
        return float(median * np.exp(rng.normal(0.0, sigma)))

    base = about(0.02 if hard else 0.012, 0.4)
    return World(
        level=level,
        regions=int(rng.choice([1, 2, 3, 4, 5], p=[0.12, 0.28, 0.3, 0.2, 0.1])),
        gateways_per_region=int(rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.35, 0.3, 0.15, 0.1])),
        median_rate=about(0.22, 0.5),
        rate_sigma=span(0.9, 1.7),
        callers_mean=span(2.0, 9.0),
        batch_share=span(0.05, 0.25),
        multi_region_share=span(0.1, 0.5),
        night_depth=span(0.2, 0.9),
        weekend_depth=span(0.2, 1.0),
        hidden_gateway_share=span(0.25, 1.0) if hard else float(rng.choice([0.0, span(0.0, 0.6)])),
        hidden_reason=str(rng.choice(["unknown_credential", "other", "forbidden"], p=[0.5, 0.42, 0.08])),
        rollover_share=span(0.6, 0.9),
        failing_share=0.125 if failing_share is None else failing_share,
        overlap_days=span(1.0, 5.0),
        under_way_share=span(0.05, 0.25),
        slow_share=span(0.0, 0.4),
        switch_median_hours=span(1.0, 14.0),
        switch_sigma=span(0.8, 1.6),
        pod_ramp_minutes=about(8.0, 0.8),
        first_retry_share=span(0.05, 0.4),
        fallback_share=span(0.0, 0.3),
        weak_share=span(0.45, 0.8) if hard else span(0.05, 0.3),
        retry_share=span(0.1, 0.6),
        fault_hours=span(2.0, 7.0),
        outage_rate=span(0.02, 0.25),
        left_behind_share=about(0.03, 0.7),
        earlier_rollover_share=span(0.0, 0.4),
        clients=int(rng.choice([60, 150, 10**6], p=[0.3, 0.3, 0.4])),
        shared_client_share=span(0.0, 0.3),
        uneven_share=span(0.1, 0.6),
        late_share=span(0.02, 0.15) if rng.random() < 0.4 else 0.0,
        late_minutes=about(2.0, 0.7),
        repeated_share=0.01 if rng.random() < 0.3 else 0.0,
        dialect=Dialect(
            naming=str(
                rng.choice(
                    [NAMED_ALWAYS, NAMED_BY_GATEWAY, NAMED_BY_REASON, NAMED_WHERE_FOUND, NAMED_NEVER],
                    p=[0.5, 0.14, 0.14, 0.12, 0.1] if hard else [0.6, 0.1, 0.1, 0.1, 0.1],
                )
            ),
            regions=bool(rng.random() < 0.85),
            sources=str(rng.choice([ENVIRONMENTS, ADDRESSES, PODS, NO_SOURCES], p=[0.4, 0.15, 0.25, 0.2])),
            routes_of_failures=bool(rng.random() < 0.85),
            routes_of_successes=bool(rng.random() < 0.6),
            retirements=bool(rng.random() < 0.6),
            expiries=bool(rng.random() < 0.9),
            strangers=str(rng.choice(["nameless", "many", "one"], p=[0.6, 0.2, 0.2])),
            words=bool(rng.random() < 0.35),
        ),
        benign_rates={kind: base * about(1.0, 0.7) for kind in BENIGN_KINDS},
        noise={
            "rate_limited": about(1.5e-3, 0.8),
            "malformed": about(1.0e-3, 0.8),
            "forbidden": about(3e-4, 0.8),
            "unknown_credential": about(1e-4, 0.8),
            "gateway_error": about(5e-4, 0.8),
            "other": about(1e-4, 0.8),
        },
    )
