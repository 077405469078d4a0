"""Each cause from the structure of who fails and who does not, and its sentence with the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from models.cause import NOT_THE_ROLLOVER, Cause
from models.observations import KeyFacts, UsageRow
from models.wording import sentence, severity
from tests.unit.models.rollover_traffic import DAY, facts, healthy, use, verdict

T = 2 * DAY + 60
PAST = healthy(range(2 * DAY - 300, T))
CLIENTS = ("acme", "globex", "initech")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Rows of the trouble on top of a healthy past, and the cause that they speak of."""

    why: str
    cause: Cause
    rows: list[UsageRow]
    key: KeyFacts = field(default_factory=facts)


def failing(
    reason: str,
    *,
    version: int = 2,
    clients: tuple[str, ...] = CLIENTS,
    gateways: tuple[str, ...] = ("e1",),
    minutes: range = range(T, T + 20, 2),
    n: int = 1,
    route: str = "/r",
) -> list[UsageRow]:
    return [
        use(m, reason=reason, version=version, client=c, gateway=g, n=n, route=route)
        for m in minutes
        for c in clients
        for g in gateways
    ]


def fine(*, gateways: tuple[str, ...], clients: tuple[str, ...] = CLIENTS, version: int = 2) -> list[UsageRow]:
    return healthy(range(T, T + 20), version=version, gateways=gateways, clients=clients, every=2)


CASES = [
    Case(
        why="a whole region refuses the new version and the other accepts it",
        cause=Cause.PROPAGATION_DELAY,
        rows=failing("unknown_credential", gateways=("e1", "e2", "e3")) + fine(gateways=("u1", "u2")),
    ),
    Case(
        why="one node refuses it while its siblings in the region accept it",
        cause=Cause.STALE_GATEWAY,
        rows=failing("unknown_credential") + fine(gateways=("e2", "e3", "u1", "u2")),
    ),
    Case(
        why="the old version is revoked while everybody still uses it",
        cause=Cause.EARLY_REVOCATION,
        rows=failing("revoked", version=1, gateways=("e1", "e2", "u1")),
    ),
    Case(
        why="the old version expires during the overlap",
        cause=Cause.PREMATURE_EXPIRY,
        rows=failing("expired", version=1, gateways=("e1", "e2", "u1")),
        key=facts(expires_minute=T),
    ),
    Case(
        why="the new version lacks a scope for everybody",
        cause=Cause.SCOPE_LOSS,
        rows=failing("forbidden", gateways=("e1", "e2", "u1")),
    ),
    Case(
        why="one caller has the wrong secret everywhere, the others are fine",
        cause=Cause.WRONG_SECRET,
        rows=failing("wrong_secret", clients=("acme",), gateways=("e1", "e2", "u1"))
        + fine(gateways=("e1", "e2", "u1"), clients=("globex", "initech")),
    ),
    Case(
        why="one caller presents a credential that production does not know",
        cause=Cause.WRONG_ENVIRONMENT,
        rows=failing("unknown_credential", clients=("acme",), gateways=("e1", "e2", "u1"))
        + fine(gateways=("e1", "e2", "u1"), clients=("globex", "initech")),
    ),
    Case(
        why="one caller hammers the gateway with what is refused",
        cause=Cause.RETRY_STORM,
        rows=failing("wrong_secret", clients=("acme",), n=60) + fine(gateways=("e1", "e2"), clients=("globex",)),
    ),
    Case(why="a quota refuses rate", cause=Cause.RATE_LIMITED, rows=failing("rate_limited", gateways=("e1", "u1"))),
    Case(why="the upstream fails", cause=Cause.UPSTREAM_OUTAGE, rows=failing("gateway_error", gateways=("e1", "u1"))),
    Case(
        why="callers that nobody knows try secrets",
        cause=Cause.CREDENTIAL_STUFFING,
        rows=[
            use(m, reason="wrong_secret", version=1, client=f"guest-{m % 7}", source=f"198.51.100.{m % 7}")
            for m in range(T, T + 20)
        ],
    ),
    Case(
        why="a caller retries a version that is retired",
        cause=Cause.CALLER_FAULT,
        rows=failing("revoked", version=1, clients=("acme",)),
        key=facts(retired_minute=T - 10),
    ),
    Case(
        why="a caller sends what no gateway can read",
        cause=Cause.CALLER_FAULT,
        rows=failing("malformed", clients=("acme",)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.cause}: {case.why}")
def test_the_cause_follows_from_who_fails_and_who_does_not(case: Case) -> None:
    assert verdict(PAST + case.rows, key=case.key, now=T + 19).cause is case.cause


@pytest.mark.parametrize("reason", ["other", "unknown_credential"])
def test_structure_names_the_node_where_gateways_hide_the_reason(reason: str) -> None:
    rows = failing(reason) + fine(gateways=("e2", "e3", "u1", "u2"))
    assert verdict(PAST + rows, key=facts(), now=T + 19).cause is Cause.STALE_GATEWAY


def test_the_registry_tells_expiry_from_revocation_where_the_reason_is_hidden() -> None:
    rows = failing("other", version=1, gateways=("e1", "e2", "u1"), minutes=range(T, T + 20))
    assert verdict(PAST + rows, key=facts(expires_minute=T), now=T + 19).cause is Cause.PREMATURE_EXPIRY
    assert verdict(PAST + rows, key=facts(), now=T + 19).cause is Cause.EARLY_REVOCATION


def test_a_sentence_holds_the_numbers_that_decided() -> None:
    case = CASES[0]
    found = verdict(PAST + case.rows, key=case.key, now=T + 19)
    text = sentence(2, found)
    assert text == (
        "v2 is refused by 3 of 3 gateways in eu and by none of 2 others (unknown_credential): 90 of 90 requests of "
        "3 callers since 2026-05-03 01:00 UTC; likely not propagated there yet"
    )


def test_what_the_rollover_is_not_to_blame_for_is_told_softly() -> None:
    for case in CASES:
        found = verdict(PAST + case.rows, key=case.key, now=T + 19)
        assert (severity(found) == "info") == (case.cause in NOT_THE_ROLLOVER)


@dataclass(frozen=True)
class _Fixed:
    """Weighs the same whatever it sees: another environment first, a wrong secret next."""

    def weigh(self, features: tuple[float, ...]) -> dict[str, float]:
        return {"wrong_environment": 1.0, "wrong_secret": 0.5, "propagation_delay": -1.0}


@pytest.mark.parametrize(
    ("reason", "clients", "cause", "why"),
    [
        ("other", ("acme",), Cause.WRONG_SECRET, "one client, and the gateway does not say why"),
        ("unknown_credential", ("acme",), Cause.WRONG_ENVIRONMENT, "a key that this environment has never seen"),
        ("other", ("acme", "globex"), Cause.WRONG_ENVIRONMENT, "several clients do not share one secret's mistake"),
    ],
)
def test_a_hidden_reason_speaks_of_no_environment(
    reason: str, clients: tuple[str, ...], cause: Cause, why: str
) -> None:
    rows = healthy(range(T), every=10) + [
        use(m, version=2, client=c, reason=reason) for m in range(T, T + 9) for c in clients
    ]
    assert verdict(rows, key=facts(), now=T + 9, model=_Fixed()).cause is cause, why
