"""Contrasts say whether who or where matters, and vetoes take back causes that this rules out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cause import Cause
from models.contrasts import CONTRAST_NAMES, differ
from models.features import INDEX, NAMES
from models.observations import UsageRow
from models.state import FleetState
from models.vetoes import ruled_out, without_ruled_out
from tests.unit.models.rollover_traffic import DAY, START, facts, healthy, use

T = 2 * DAY + 300
CLIENTS = ("acme", "globex", "initech")
PLACES = {"acme": "prod", "globex": "prod", "initech": "backup"}
GATEWAYS = ("e1", "e2", "u1", "u2")
QUESTIONS = ("gateway_matters", "sibling_matters", "region_matters", "client_matters", "source_matters")


def row_of(
    broken: Callable[[UsageRow], bool], *, named: bool = True, asks: Callable[[UsageRow], bool] = lambda _: True
) -> tuple[float, ...]:
    """An hour in which whatever is broken is refused; two of three clients ask from one place."""
    state = FleetState()
    state.register([facts()])
    past = healthy(range(0, T, 30), every=30, clients=CLIENTS, gateways=GATEWAYS)
    state.add([row._replace(source=PLACES[row.client or ""]) for row in past])
    rows = []
    for minute in range(T, T + 60, 2):
        for client in CLIENTS:
            for gateway in GATEWAYS:
                route = f"/{minute // 2 % 3}"
                row = use(minute, client=client, source=PLACES[client], gateway=gateway, version=2, route=route)
                if broken(row):
                    row = row._replace(reason="other", outcome="failure", client=client if named else None)
                rows.append(row)
    state.add(row for row in rows if asks(row))
    (found,) = state.look(int(START.timestamp()) // 60 + T + 60, frozenset())
    return found.features


def contrasts(broken: Callable[[UsageRow], bool], *, named: bool = True) -> dict[str, float]:
    row = row_of(broken, named=named)
    return {name: row[INDEX[name]] for name in CONTRAST_NAMES}


@pytest.mark.parametrize(
    ("broken", "matters"),
    [
        (lambda row: row.gateway == "e1", {"gateway_matters", "sibling_matters", "region_matters"}),
        (lambda row: row.gateway in {"e1", "e2"}, {"gateway_matters", "region_matters"}),
        (lambda row: row.client == "globex", {"client_matters", "source_matters"}),
        (lambda row: row.route == "/1", set()),
        (lambda _: True, set()),
    ],
)
def test_what_matters_is_what_tells_refused_from_served(broken: Callable[[UsageRow], bool], matters: set[str]) -> None:
    found = contrasts(broken)
    assert {name for name in QUESTIONS if found[name] > 6} == matters


def test_routes_matter_where_some_of_them_are_refused() -> None:
    assert contrasts(lambda row: row.route == "/1")["route_matters"] > 6
    assert contrasts(lambda row: row.client == "globex")["route_matters"] < 0


def test_a_gateway_does_not_matter_because_others_ask_elsewhere() -> None:
    row = row_of(
        lambda row: row.client == "globex", asks=lambda row: (row.client == "globex") == (row.gateway in "e1e2")
    )
    assert row[INDEX["gateway_matters"]] < 0


def test_a_source_tells_who_fails_where_refusals_name_nobody() -> None:
    found = contrasts(lambda row: row.source == "prod", named=False)
    assert found["client_matters"] == 0
    assert found["source_matters"] > 6


def test_a_storm_lasts_only_where_most_minutes_are_full_of_it() -> None:
    past = healthy(range(0, T, 30), every=30, clients=CLIENTS)
    told = {}
    for name, minutes in {"a storm": range(T, T + 60), "a burst": range(T, T + 3)}.items():
        state = FleetState()
        state.register([facts()])
        state.add([*past, *(use(m, version=2, reason="wrong_secret", n=20) for m in minutes)])
        (found,) = state.look(int(START.timestamp()) // 60 + T + 60, frozenset())
        told[name] = found.features[INDEX["lasting_storm"]]
    assert told["a storm"] > 3
    assert told["a burst"] < 0


def test_a_clock_that_goes_back_meets_failures_of_the_future() -> None:
    state = FleetState()
    state.register([facts()])
    state.add(healthy(range(0, T, 30), every=30, clients=CLIENTS))
    state.add(use(m, version=2, reason="wrong_secret") for m in range(T, T + 60))
    (found,) = state.look(int(START.timestamp()) // 60 + T - 30, frozenset())
    assert len(found.features) == len(NAMES)


counts = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=1), st.tuples(st.integers(0, 50), st.integers(0, 50)).map(list), max_size=6
)


@given(counts)
def test_a_contrast_is_bounded_and_knows_no_order(parts: dict[str, list[float]]) -> None:
    assert -20 <= differ(parts) <= 20
    assert differ(parts) == pytest.approx(differ(dict(reversed(parts.items()))))


@given(st.integers(0, 50), st.integers(0, 50))
def test_one_part_or_idle_parts_say_nothing(failed: int, ok: int) -> None:
    assert differ({"a": [failed, ok]}) == 0
    assert differ({"a": [failed, ok], "b": [0, 0]}) == pytest.approx(0)


@pytest.mark.parametrize(
    ("why", "broken", "out", "possible"),
    [
        (
            "one client is refused where others are served",
            lambda row: row.client == "globex",
            {Cause.EARLY_REVOCATION, Cause.PROPAGATION_DELAY, Cause.STALE_GATEWAY, Cause.SCOPE_LOSS},
            {Cause.WRONG_SECRET, Cause.WRONG_ENVIRONMENT, Cause.RETRY_STORM},
        ),
        (
            "a gateway refuses whom its sibling serves",
            lambda row: row.gateway == "e1",
            {Cause.WRONG_SECRET, Cause.WRONG_ENVIRONMENT, Cause.RETRY_STORM, Cause.EARLY_REVOCATION},
            {Cause.STALE_GATEWAY, Cause.PROPAGATION_DELAY, Cause.SCOPE_LOSS},
        ),
        (
            "all gateways of both regions refuse everybody",
            lambda _: True,
            {Cause.STALE_GATEWAY, Cause.PROPAGATION_DELAY},
            {Cause.EARLY_REVOCATION, Cause.WRONG_SECRET, Cause.SCOPE_LOSS, Cause.WRONG_ENVIRONMENT},
        ),
        (
            "some routes are refused",
            lambda row: row.route == "/1",
            {Cause.STALE_GATEWAY, Cause.PROPAGATION_DELAY},
            {Cause.SCOPE_LOSS},
        ),
    ],
)
def test_structure_rules_causes_out(
    why: str, broken: Callable[[UsageRow], bool], out: set[Cause], possible: set[Cause]
) -> None:
    found = ruled_out(row_of(broken))
    assert found >= out, why
    assert not found & possible, why


def test_a_cause_that_is_ruled_out_comes_after_every_other() -> None:
    row = row_of(lambda row: row.client == "globex")
    odds = without_ruled_out({"stale_gateway": 4.0, "wrong_secret": 0.0}, row)
    assert max(odds, key=lambda each: odds[each]) == "wrong_secret"


def test_a_row_that_says_nothing_rules_nothing_out() -> None:
    assert ruled_out((0.0,) * len(NAMES)) == frozenset()
