"""The features of structure tell one scope of a trouble from another, whatever the gateways say of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.features import INDEX
from models.observations import UsageRow
from models.state import FleetState
from models.structure import WIDE_NAMES
from tests.unit.models.rollover_traffic import DAY, START, facts, use

T = 2 * DAY + 300
START_MINUTE = int(START.timestamp()) // 60
CLIENTS = ("acme", "globex", "initech")
GATEWAYS = ("e1", "e2", "u1")
CLAIMS = ("wide_gateway", "wide_region", "wide_caller", "wide_client", "wide_routes")


def features(broken: Callable[[UsageRow], bool], *, reason: str = "other", hidden: bool = True) -> dict[str, float]:
    """Minutes in which whatever is broken is refused; each caller has two processes and two routes."""
    state = FleetState()
    state.register([facts()])
    past = [use(m, client=c, gateway=g) for m in range(0, T, 30) for c in CLIENTS for g in GATEWAYS]
    words = ["other"] * 40 if hidden else ["forbidden", "other", "wrong_secret", "revoked"] * 10
    past += [use(i, client="x", reason=word, gateway=g, key="else") for g in GATEWAYS for i, word in enumerate(words)]
    state.add(past)
    rows = []
    for minute in range(T, T + 48, 6):
        for i, client in enumerate(CLIENTS):
            for j, gateway in enumerate(GATEWAYS):
                source, route = f"10.0.{i}.{minute // 6 % 2}", f"/{(minute // 6 + i + j) % 2}"
                row = use(minute, client=client, source=source, gateway=gateway, version=2, route=route)
                rows.append(row._replace(reason=reason, outcome="failure") if broken(row) else row)
    state.add(rows)
    (found,) = (c for c in state.look(START_MINUTE + T + 48, frozenset()) if c.key == "billing")
    return {name: found.features[INDEX[name]] for name in WIDE_NAMES}


@pytest.mark.parametrize(
    ("broken", "claim"),
    [
        (lambda row: row.gateway == "u1", "wide_gateway"),
        (lambda row: row.gateway in {"e1", "e2"}, "wide_region"),
        (lambda row: row.source == "10.0.1.0", "wide_caller"),
        (lambda row: row.client == "globex", "wide_client"),
        (lambda row: row.route == "/1", "wide_routes"),
    ],
)
def test_what_is_broken_is_the_claim_that_fits_best(broken: Callable[[UsageRow], bool], claim: str) -> None:
    found = features(broken)
    best = max(found[name] for name in CLAIMS)
    assert found[claim] == best > 0
    assert [name for name in CLAIMS if found[name] == best and name not in {claim, "wide_region", "wide_caller"}] == []


def test_where_nothing_is_spared_no_scope_explains_more_than_everyone_does() -> None:
    found = features(lambda _: True)
    assert all(found[name] <= 0 for name in CLAIMS)


@pytest.mark.parametrize(
    ("hidden", "column", "why"),
    [
        (True, "untold", "a gateway with one word for everything has told nothing"),
        (False, "told_forbidden", "one that says other things too has told the reason"),
    ],
)
def test_a_reason_counts_as_told_where_the_gateway_looked(hidden: bool, column: str, why: str) -> None:
    found = features(lambda row: row.route == "/1", reason="other" if hidden else "forbidden", hidden=hidden)
    assert found[column] == max(found["untold"], found["told_forbidden"]) > 0, why
    assert min(found["untold"], found["told_forbidden"]) == 0, why


def test_two_gateways_words_for_one_trouble_are_counted_together() -> None:
    mixed = features(lambda row: row.gateway in {"e1", "e2"}, reason="forbidden", hidden=False)
    alone = features(lambda row: row.gateway == "e1", reason="forbidden", hidden=False)
    assert mixed["wide_failures"] > alone["wide_failures"]


def test_siblings_and_neighbours_that_work_are_counted_apart() -> None:
    found = features(lambda row: row.source == "10.0.1.0")
    assert found["siblings_of_client_ok"] > 0
    assert found["neighbours_at_source_ok"] == 0
    assert found["own_share"] == 1.0
    assert found["failing_clients"] < found["ok_clients"]
