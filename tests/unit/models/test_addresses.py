"""Who is to blame where a client runs many processes: its own addresses are no environment, its failures are one's."""

from __future__ import annotations

import pytest

from models.scopes import Scope, cells, explanations
from models.state import Candidate, FleetState
from tests.unit.models.rollover_traffic import START, facts, use

NOW = 400


def looked(sources: tuple[str, ...], failing: tuple[str, ...], *, shared: bool) -> tuple[FleetState, Candidate]:
    """A fleet in which acme runs at `sources` and fails at some of them; globex may share the first source."""
    state = FleetState()
    state.register([facts(started_minute=0)])
    began = NOW - 30
    rows = [use(m, client="acme", source=s, version=2) for m in range(0, began, 10) for s in sources]
    other = sources[0] if shared else "10.9.9.9"
    rows += [use(m, client="globex", source=other, version=2) for m in range(0, NOW, 10)]
    state.add(rows)
    state.look(int(START.timestamp()) // 60 + began, frozenset())
    state.add(
        use(m, client="acme", source=s, version=2, reason="other", gateway=g)
        for m in range(began, NOW, 5)
        for s in failing
        for g in ("e1", "u1")
    )
    (candidate,) = state.look(int(START.timestamp()) // 60 + NOW, frozenset())
    return state, candidate


@pytest.mark.parametrize(
    ("shared", "offered", "why"),
    [
        (True, True, "two clients at one source: an environment may be to blame"),
        (False, False, "a client's own address says no more than the client"),
    ],
)
def test_only_a_shared_source_is_an_environment(shared: bool, offered: bool, why: str) -> None:
    state, candidate = looked(("10.0.0.1", "10.0.0.2"), ("10.0.0.1",), shared=shared)
    key = state.keys["billing"]
    found = cells(key.versions[2], candidate.evidence)
    fits = explanations(key, 2, found, lambda _: "", lambda source: source not in state.addresses)
    assert (Scope.SOURCE in fits) is offered, why


def test_a_client_that_fails_from_all_its_addresses_is_one_caller() -> None:
    addresses = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    state, candidate = looked(addresses, addresses, shared=False)
    key = state.keys["billing"]
    fits = explanations(key, 2, cells(key.versions[2], candidate.evidence), lambda _: "")
    assert fits[Scope.CALLER].name == "acme"
    assert fits[Scope.CALLER].failures == sum(f.count for f in candidate.evidence.failures)
