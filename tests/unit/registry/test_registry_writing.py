"""Writing a registry: it reads back as the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.instants import DAY_MS
from monitor.core.registry import (
    Gateway,
    Key,
    KeyVersion,
    Noise,
    Owner,
    Pin,
    RegionWindow,
    Registry,
    Rollover,
    Unmanaged,
    Waiver,
)
from monitor.core.registry_file import parse_registry
from monitor.core.registry_writing import registry_as_json, registry_as_yaml
from tests.unit.registry.examples import EXAMPLE

START = 1_777_593_600_000
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters="\ufeff"),
    min_size=1,
    max_size=12,
).filter(lambda each: each == each.strip())
times = st.integers(START, START + 400 * DAY_MS)
policies = st.fixed_dictionaries(
    {},
    optional={
        "brownout_steps": st.just(("5m", "1h")),
        "gap_factor": st.floats(0, 10),
        "min_sightings": st.integers(0, 9),
        "allow_short_lookback": st.booleans(),
        "quiet_window": st.sampled_from(["3d", "1h30m"]),
    },
)


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    names = draw(st.lists(texts, unique=True, min_size=1, max_size=3))
    credentials = iter(draw(st.lists(texts, unique=True, min_size=6, max_size=6)))
    keys = tuple(
        Key(
            key=name,
            versions=tuple(
                KeyVersion(
                    version=number,
                    credentials=(next(credentials),),
                    created_at_ms=draw(st.none() | times),
                    scopes=tuple(draw(st.lists(texts, unique=True, max_size=2))),
                )
                for number in (1, 2)
            ),
            owner=Owner(team=draw(st.none() | texts), slack=draw(st.none() | texts), timezone="UTC"),
            clients=tuple(draw(st.lists(texts, unique=True, max_size=2))),
            rotate_every_ms=draw(st.none() | st.integers(1, 500 * DAY_MS)),
            tier=draw(st.none() | texts),
        )
        for name in names
    )
    rollover = Rollover(
        id=draw(texts),
        key=names[0],
        from_version=1,
        to_version=2,
        started_at_ms=START - 1,
        deadline_ms=draw(st.none() | times),
        retired_at_ms=draw(st.none() | times),
        channel=draw(st.none() | texts),
        policy=tuple(sorted(draw(policies).items())),
        regions=(RegionWindow(region=draw(texts), started_at_ms=draw(st.none() | times)),),
    )
    who: dict[str, Any] = {"reason": draw(texts), "by": draw(texts), "until_ms": draw(st.none() | times)}
    return Registry(
        keys=keys,
        gateways=(Gateway(gateway=draw(texts), region=draw(st.none() | texts), max_silence_ms=90_500),),
        rollovers=(rollover,),
        pins=(Pin(key=names[0], version=1, **who),),
        waivers=(Waiver(rollover=rollover.id, client=draw(texts), source=draw(st.none() | texts), **who),),
        unmanaged=(Unmanaged(credential=draw(texts), **who), Unmanaged(gateway=draw(texts), **who)),
        noise=(Noise(client=draw(texts), max_per_day=draw(st.integers(0, 9999)), **who),),
    )


@given(registries())
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back_as_the_same(registry: Registry) -> None:
    assert parse_registry(registry_as_yaml(registry), name="k") == registry
    assert parse_registry(json.dumps(registry_as_json(registry), ensure_ascii=False), name="k") == registry


def test_fields_without_a_value_are_left_out() -> None:
    assert registry_as_json(Registry()) == {}
    written = registry_as_json(parse_registry(EXAMPLE, name="k"))
    assert written["gateways"] == [
        {"gateway": "edge-1", "region": "eu"},
        {"gateway": "edge-2", "region": "us", "max_silence": "6h"},
    ]
