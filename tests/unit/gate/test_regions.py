"""One region at a time: its own callers, proofs and gateways; nothing borrowed from elsewhere."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.callers import CallerCache
from monitor.core.decision import Verdict
from monitor.core.registry import Gateway
from tests.unit.gate.stories import NOW, D, H, blocked, edge
from tests.unit.gate.world import World, every, moved, registry


def in_region(region: str | None) -> list[object]:
    return [replace(each, region=region) for each in moved()]


TWO = registry(gateways=(Gateway(gateway="edge", region="eu"), Gateway(gateway="edge", region="us")))
HEARD = {"gateways": (edge(region="eu"), edge(region="us"))}


def world(**fields: object) -> World:
    given = {"registry": TWO, "telemetry": HEARD, "now": NOW, "uses": [*in_region("eu"), *in_region("us")]}
    return World(**(given | fields))  # type: ignore[arg-type]


def test_each_region_is_decided_on_its_own_callers() -> None:
    still = every(H, first=NOW - 99 * D, last=NOW, client="us-only", region="us")
    both = world(uses=[*in_region("eu"), *in_region("us"), *still])
    assert replace(both, region="eu").decide().verdict is Verdict.GO
    assert replace(both, region="us").decide().verdict is Verdict.NO_GO
    assert both.decide().verdict is Verdict.NO_GO


def test_a_success_elsewhere_proves_nothing_here() -> None:
    old_us = [each for each in moved(client="split") if each.credential == "cred-1"]
    new_eu = [replace(each, region="eu") for each in moved(client="split") if each.credential == "cred-2"]
    split = world(uses=[*in_region("eu"), *in_region("us"), *(replace(each, region="us") for each in old_us), *new_eu])
    split = split.at(NOW - 10 * D)
    blocked(replace(split, region="us").decide(), "C7", "split/eu", "never succeeded")
    assert split.decide().verdict is Verdict.GO


def test_a_silent_gateway_of_another_region_does_not_hold_this_one() -> None:
    silent = world(telemetry={"gateways": (edge(region="eu"), edge(region="us", last_ms=NOW - D))})
    assert replace(silent, region="eu").decide().verdict is Verdict.GO
    blocked(replace(silent, region="us").decide(), "C3", "edge in us")


def test_a_use_without_a_region_may_have_happened_anywhere() -> None:
    somewhere = world(uses=[*in_region("eu"), *every(H, first=NOW - 99 * D, last=NOW, client="anywhere")])
    assert replace(somewhere, region="eu").decide().verdict is Verdict.NO_GO


def test_a_region_that_does_not_exist_is_unknown() -> None:
    blocked(replace(world(), region="mars").decide(), "C3", "region mars")


def test_one_cache_serves_all_regions() -> None:
    still = every(H, first=NOW - 99 * D, last=NOW, client="us-only", region="us")
    both = world(uses=[*in_region("eu"), *in_region("us"), *still], cache=CallerCache())
    for region, verdict in (("eu", Verdict.GO), ("us", Verdict.NO_GO), ("eu", Verdict.GO), (None, Verdict.NO_GO)):
        assert replace(both, region=region).decide().verdict is verdict


def test_records_without_a_region_belong_to_the_only_gateway_of_that_name() -> None:
    one = registry(gateways=(Gateway(gateway="edge", region="eu"),))
    assert world(registry=one, telemetry={"gateways": (edge(),)}).decide().verdict is Verdict.GO
    blocked(world(telemetry={"gateways": (edge(),)}).decide(), "C3", "not registered")


def test_a_registration_without_a_region_takes_all_of_that_name_together() -> None:
    one = registry(gateways=(Gateway(gateway="edge"),))
    gap = ((NOW - 2 * D, NOW - D),)
    later = ((NOW - 4 * D, NOW - 3 * D),)
    turns = {"gateways": (edge(region="eu", silences=gap), edge(region="us", silences=later))}
    assert world(registry=one, telemetry=turns).decide().verdict is Verdict.GO
    both = {"gateways": (edge(region="eu", silences=gap), edge(region="us", silences=gap))}
    blocked(world(registry=one, telemetry=both).decide(), "C3", "1d")
