"""What structure alone leaves no doubt of, row by row: told without trees, and only from callers that are known."""

from __future__ import annotations

import pytest

from models.certainty import beyond_doubt
from models.observations import KeyFacts, UsageRow
from models.state import FleetState
from tests.unit.models.rollover_traffic import DAY, START, facts, healthy, use

T = 2 * DAY + 90
CLIENTS = ("acme", "globex", "initech")
PAST = healthy(range(T), every=10)
MOVED = healthy(range(T - 60, T), version=2, every=10)


def certain(rows: list[UsageRow], *, now: int, key: KeyFacts | None = None, told: bool = False) -> bool:
    """Ask the rule about version rows as of a minute."""
    state = FleetState()
    state.register([key or facts()])
    state.add(sorted(rows))
    found = state.look(int(START.timestamp()) // 60 + now, frozenset())
    chosen = max(found, key=lambda c: sum(f.count for f in c.evidence.failures))
    return beyond_doubt(
        state.keys[chosen.key],
        chosen.version,
        chosen.evidence,
        chosen.life,
        keys_failing_here=1,
        region_of=lambda gateway: state.regions.get(gateway, ""),
        retirements_told=told,
        now=chosen.minute,
    )


def refused(
    minutes: int, *, clients: tuple[str | None, ...] = CLIENTS, gateways: tuple[str, ...] = ("e2",), **how: object
) -> list[UsageRow]:
    """Clients that ask at three gateways every four minutes, refused at some of them."""
    reason = str(how.get("reason", "unknown_credential"))
    version, source = int(str(how.get("version", 2))), str(how.get("source", "prod"))
    return [
        use(m, version=version, client=c, source=source, gateway=g, reason=reason if g in gateways else "ok")
        for m in range(T, T + minutes, 4)
        for c in clients
        for g in ("e1", "e2", "u1")
    ]


EVERYWHERE = ("e1", "e2", "u1")
CASES = {
    "one gateway refuses what its siblings take": (PAST + MOVED + refused(40), 40, True),
    "the same for a few minutes: it may heal": (PAST + MOVED + refused(9), 9, False),
    "everybody is refused": (PAST + MOVED + refused(40, gateways=EVERYWHERE), 40, True),
    "one caller is refused everywhere, as if it broke itself": (
        PAST + MOVED + refused(40, clients=("acme",), gateways=EVERYWHERE) + healthy(range(T, T + 40), version=2),
        40,
        False,
    ),
    "one caller was never served since it moved": (
        PAST + refused(40, clients=("acme",), gateways=EVERYWHERE),
        40,
        True,
    ),
    "nobody is named, from a source that is known, and nobody was ever served": (
        PAST + refused(40, clients=(None,), gateways=EVERYWHERE),
        40,
        True,
    ),
    "strangers are refused": (
        PAST + MOVED + refused(40, clients=(None,), gateways=EVERYWHERE, source="198.51.100.9"),
        40,
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_certain_only_where_structure_is(name: str) -> None:
    rows, minutes, expected = CASES[name]
    assert certain(rows, now=T + minutes) is expected


@pytest.mark.parametrize(
    ("reason", "told", "retired", "expected"),
    [
        ("revoked", True, None, True),
        ("revoked", False, None, False),
        ("revoked", True, T - 10, False),
        ("wrong_secret", True, None, False),
    ],
)
def test_a_version_called_dead_that_the_registry_calls_alive(
    reason: str, told: bool, retired: int | None, expected: bool
) -> None:
    rows = PAST + refused(5, clients=("acme",), gateways=EVERYWHERE, version=1, reason=reason)
    assert certain(rows, now=T + 5, key=facts(retired_minute=retired), told=told) is expected


def test_an_outage_of_many_keys_is_no_failed_rollover() -> None:
    state = FleetState()
    state.register([facts()])
    state.add(sorted(PAST + MOVED + refused(40)))
    (found,) = [c for c in state.look(int(START.timestamp()) // 60 + T + 40, frozenset()) if c.version == 2]
    assert not beyond_doubt(
        state.keys[found.key],
        found.version,
        found.evidence,
        found.life,
        keys_failing_here=5,
        region_of=lambda gateway: state.regions.get(gateway, ""),
        now=found.minute,
    )
