"""Plain troubles of one key in a small fleet, made without a simulator: what nobody may miss, what nobody may tell.

Times are minutes; the rollover of key `k` from version 1 to 2 begins at `ROLLS`. Every trouble begins `age` after that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.detector import Detector
from models.episodes import Action, Alert
from models.observations import NOT_SERVED, OK, KeyFacts, RolloverFacts, UsageRow, VersionFacts
from models.reranker import Reranker, default_reranker
from tests.unit.models.rollover_traffic import DAY, START, at

HOUR = 60
ROLLS = 2 * DAY
AGES = {"0 h": 0, "6 h": 6 * HOUR, "1 d": DAY, "3 d": 3 * DAY, "10 d": 10 * DAY}
GATEWAYS = (("e1", "eu"), ("e2", "eu"), ("u1", "us"), ("u2", "us"))
CLIENTS = (
    ("checkout", "web", "eu", 0.4, 0.0),
    ("ledger", "jobs", "eu", 0.15, 0.35),
    ("mobile", "web", "us", 0.3, 0.1),
    ("fraud", "jobs", "us", 0.15, 0.6),
    ("partner", "edge", "eu", 0.1, 0.2),
)
"""Client, source, region, share of the key's requests, hours (as a share of half a day) until it moves."""
ROUTES = ("/a", "/b", "/c", "/d")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as a trouble may see it."""

    minute: int
    client: str
    source: str
    gateway: str
    region: str
    route: str
    version: int


Refusal = Callable[[Ask, random.Random], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One trouble. `refuse` returns the reason it refuses a request for; `also` adds rows of its own.

    `again` is what a refused caller does: nothing, `retry` with the same version, or `back` to the old one for this
    request. `storms` is how many times it retries within the minute. Clients of `moves_with_it` move as it begins.
    """

    name: str
    age: int
    length: int
    refuse: Refusal
    per_minute: float = 0.25
    again: str = "retry"
    storms: int = 1
    hides: bool = False
    also: Callable[[int, random.Random], list[UsageRow]] = lambda _start, _dice: []
    cause: str | None = None
    expires: int | None = None
    stays: bool = False
    moves_with_it: tuple[str, ...] = ()
    seed: int = 1

    @property
    def start(self) -> int:
        """The minute in which it begins."""
        return ROLLS + self.age


def row(ask: Ask, reason: str, *, key: str = "k", n: int = 1) -> UsageRow:
    """Write one aggregate."""
    outcome = "success" if reason == OK or reason in NOT_SERVED else "failure"
    bucket = int(START.timestamp()) + ask.minute * 60
    return UsageRow(
        bucket, key, ask.version, ask.client, ask.source, ask.gateway, ask.region, ask.route, outcome, reason, n
    )


def _moves(case: Plain, client: str, share: float) -> int:
    """Return when a client moves: those that a late trouble meets have moved long before, or never do if they stay."""
    if client in case.moves_with_it:
        return case.start
    if case.stays:
        return ROLLS + 400 * DAY
    return ROLLS + int(share * 12 * HOUR) if case.age > DAY / 2 else ROLLS + int(share * (2 * HOUR))


def _rate(case: Plain, minute: float) -> float:
    """Return requests a minute: fewer long before the trouble, for the test's speed."""
    return case.per_minute if minute > case.start - DAY else min(case.per_minute, 0.1)


def traffic(case: Plain) -> Iterator[UsageRow]:
    """Yield the rows of the case's key and of its quiet neighbours, in no order."""
    dice = random.Random(f"{case.name}/{case.seed}")
    end = case.start + min(case.length, 6 * HOUR) + 2 * HOUR
    for client, source, region, share, later in CLIENTS:
        moves = _moves(case, client, later)
        minute = 0.0
        while (minute := minute + dice.expovariate(_rate(case, minute) * share)) < end:
            gateway, place = dice.choice([g for g in GATEWAYS if g[1] == region])
            version = 2 if minute >= moves else 1
            ask = Ask(int(minute), client, source, gateway, place, dice.choice(ROUTES), version)
            inside = case.start <= minute < case.start + case.length
            reason = case.refuse(ask, dice) if inside else None
            if reason is None:
                yield row(ask, "rate_limited" if dice.random() < 0.001 else OK)
                continue
            said = "unknown_credential" if case.hides and reason not in NOT_SERVED else reason
            yield row(ask, said, n=case.storms)
            if case.again == "back":
                yield row(Ask(ask.minute, client, source, gateway, place, ask.route, 1), OK)
            elif case.again == "healed":
                yield row(ask, OK)
            elif case.again == "retry" and dice.random() < 0.5:
                yield row(ask, said)
    yield from case.also(case.start, dice)
    yield from _neighbours(case, end, dice)


def _neighbours(case: Plain, end: int, dice: random.Random) -> Iterator[UsageRow]:
    """Yield other keys' healthy requests, and the odd mistake, by which a gateway's way of refusing is known."""
    odd = ("forbidden", "wrong_secret", "unknown_credential", "revoked")
    for i in range(6):
        minute = 0.0
        while (minute := minute + dice.expovariate(0.02)) < end:
            gateway, place = dice.choice(GATEWAYS)
            ask = Ask(int(minute), f"client-{i}", "web", gateway, place, "/x", 1)
            yield row(ask, OK, key=f"other-{i}")
    for gateway, place in GATEWAYS:
        for _ in range(30):
            ask = Ask(dice.randrange(end), "wanderer", "lab", gateway, place, "/x", 1)
            yield row(ask, "unknown_credential" if case.hides else dice.choice(odd), key=f"other-{dice.randrange(6)}")


def facts(case: Plain) -> list[KeyFacts]:
    """Return the registry: one rollover that is still open."""
    versions = (
        VersionFacts(version=1, expires_at=None if case.expires is None else at(case.expires)),
        VersionFacts(version=2),
    )
    rolled = RolloverFacts(rollover="r", from_version=1, to_version=2, started_at=at(ROLLS))
    return [KeyFacts(key="k", versions=versions, rollovers=(rolled,))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a case: minutes from the first and from the third refusal to the alert, and its last cause."""

    name: str
    failures: int
    first: int | None
    after_third: int | None
    causes: tuple[str, ...]
    false: int

    @property
    def cause(self) -> str | None:
        """The last word on the cause."""
        return self.causes[-1] if self.causes else None


def watch(case: Plain, reranker: Reranker | None = None, *, trains: bool = False) -> Told:
    """Let a detector watch a case, looking at every minute that has rows and at every tenth; training costs most."""
    detector = Detector(reranker=reranker or default_reranker())
    detector.register(facts(case))
    by_minute: dict[int, list[UsageRow]] = {}
    epoch = int(START.timestamp())
    bad = []
    for each in traffic(case):
        by_minute.setdefault((each.bucket - epoch) // 60, []).append(each)
        minute = (each.bucket - epoch) // 60
        if each.key == "k" and each.reason not in {OK, "rate_limited"} and minute >= case.start:
            bad += [minute] * each.requests
    bad.sort()
    alerts: list[Alert] = []
    for minute in sorted(by_minute.keys() | set(range(0, max(by_minute) + HOUR, 10))):
        alerts.extend(detector.observe(by_minute.get(minute, []), at(minute + 1)))
        if trains and minute % DAY == 0 and minute:
            detector.train(at(minute))
    mine = [a for a in alerts if a.finding.key == "k" and a.action is not Action.CLOSED]
    opened = [a for a in mine if a.action is Action.OPENED]
    hit = [a for a in opened if a.at >= at(case.start)]
    first = third = None
    if hit and bad:
        minute = int((hit[0].at - START).total_seconds() // 60) - 1
        first = minute - bad[0]
        third = minute - bad[min(2, len(bad) - 1)]
    return Told(
        name=case.name,
        failures=len(bad),
        first=first,
        after_third=third,
        causes=tuple(
            str(a.finding.cause) for a in mine if hit and a.at >= hit[0].at and a.action is not Action.ESCALATED
        ),
        false=len(opened) - len(hit) + sum(a.finding.key != "k" for a in alerts),
    )


def _at(*gateways: str) -> Callable[[Ask], bool]:
    return lambda ask: ask.gateway in gateways


def _new(reason: str, who: Callable[[Ask], bool], share: float = 1.0) -> Refusal:
    return lambda ask, dice: reason if ask.version == 2 and who(ask) and dice.random() < share else None


def _old(reason: str) -> Refusal:
    return lambda ask, _: reason if ask.version == 1 else None


def _client(name: str) -> Callable[[Ask], bool]:
    return lambda ask: ask.client == name


def faults() -> list[Plain]:
    """Return a fault of every cause at every age, on a median and a busy key, at gateways that tell and that hide."""
    made = []
    moving = {"secret": ("checkout", "mobile"), "environment": ("checkout", "mobile"), "storm": ("mobile",)}
    for age_name, age in AGES.items():
        for volume, per_minute in (("median", 0.25), ("busy", 1.5)):
            for hides in (False, True):
                kinds: dict[str, tuple[str, Refusal, str]] = {
                    "stale": ("stale_gateway", _new("unknown_credential", _at("u2")), "retry"),
                    "stale, falls back": ("stale_gateway", _new("unknown_credential", _at("u2")), "back"),
                    "stale, inactive": ("stale_gateway", _new("not_yet_active", _at("e1")), "none"),
                    "region": ("propagation_delay", _new("unknown_credential", _at("e1", "e2")), "retry"),
                    "region, falls back": ("propagation_delay", _new("unknown_credential", _at("u1", "u2")), "back"),
                    "scope": ("scope_loss", _new("forbidden", lambda a: a.route in {"/a", "/b"}), "retry"),
                    "secret": ("wrong_secret", _new("wrong_secret", _client("checkout")), "retry"),
                    "secret, falls back": ("wrong_secret", _new("wrong_secret", _client("mobile")), "back"),
                    "environment": (
                        "wrong_environment", _new("unknown_credential", lambda a: a.source == "web"), "retry"),
                    "storm": ("retry_storm", _new("wrong_secret", _client("mobile")), "storm"),
                    "revoked": ("early_revocation", _old("revoked"), "retry"),
                    "expired": ("premature_expiry", _old("expired"), "retry"),
                }  # fmt: skip
                for kind, (cause, refuse, again) in kinds.items():
                    made.append(
                        Plain(
                            name=f"{kind}, {age_name}, {volume}{', hidden' if hides else ''}",
                            age=age,
                            length=3 * DAY if kind.startswith("stale") else 8 * HOUR,
                            refuse=refuse,
                            per_minute=per_minute,
                            again="retry" if again == "storm" else again,
                            storms=20 if again == "storm" else 1,
                            hides=hides,
                            cause=cause,
                            stays=cause in {"early_revocation", "premature_expiry"},
                            expires=ROLLS + age if cause == "premature_expiry" else None,
                            moves_with_it=moving.get(kind.split(",")[0], ()),
                        )
                    )
    return made


def _strangers(reason: str, n: int, minutes: int, client: str | None) -> Callable[[int, random.Random], list[UsageRow]]:
    def made(start: int, dice: random.Random) -> list[UsageRow]:
        rows = []
        for i in range(n):
            gateway, place = dice.choice(GATEWAYS)
            name = None if client is None else client.format(i % 25)
            ask = Ask(
                start + dice.randrange(minutes), name or "", "198.51.100.7", gateway, place, "/a", dice.choice((1, 2))
            )
            rows.append(row(ask, reason)._replace(client=name))
        return rows

    return made


def _burst(  # noqa: PLR0917 - the parts of one burst
    reason: str, version: int, client: str, source: str, n: int, minutes: float, route: str = "/a", gateway: str = "e1"
) -> Callable[[int, random.Random], list[UsageRow]]:
    def made(start: int, dice: random.Random) -> list[UsageRow]:
        place = dict(GATEWAYS)[gateway]
        whens = [start + int(dice.random() * minutes) for _ in range(n)]
        return [row(Ask(m, client, source, gateway, place, route, version), reason) for m in whens]

    return made


def _never(_ask: Ask, _dice: random.Random) -> str | None:
    return None


def _flap(ask: Ask, dice: random.Random) -> str | None:
    return "unknown_credential" if ask.client == "mobile" and ask.version == 2 and dice.random() < 0.3 else None


def benign() -> list[Plain]:
    """Return troubles that are nobody's failed rollover, at every age, on a median and a busy key."""
    made = []
    for age_name, age in AGES.items():
        for volume, per_minute in (("median", 0.25), ("busy", 1.5)):
            for hides in (False, True):
                kinds: dict[str, tuple[Refusal, int, str, Callable[[int, random.Random], list[UsageRow]]]] = {
                    "stuffing": (_never, 1, "none", _strangers("wrong_secret", 200, 120, None)),
                    "scanner": (_never, 1, "none", _strangers("unknown_credential", 120, 60, "guest-{}")),
                    "zombie": (_never, 1, "none", _burst("revoked", 0, "ledger", "jobs", 200, 8 * HOUR)),
                    "probe": (_never, 1, "none", _burst("forbidden", 1, "ledger", "jobs", 5, 90, "/admin")),
                    "typed in": (_never, 1, "none", _burst("wrong_secret", 1, "partner", "edge", 4, 3)),
                    "bad deployment": (
                        lambda a, d: "malformed" if a.client == "checkout" and d.random() < 0.6 else None,
                        HOUR, "retry", lambda *_: []),
                    "quota": (lambda _, d: "rate_limited" if d.random() < 0.5 else None, HOUR, "none", lambda *_: []),
                    "healed on retry": (
                        lambda a, _: "unknown_credential" if a.client == "mobile" and a.version == 2 else None,
                        3 if per_minute > 1 else 8, "healed", lambda *_: []),
                    "flapping": (_flap, 10, "healed", lambda *_: []),
                    "outage": (lambda _, d: "gateway_error" if d.random() < 0.5 else None, 20, "none", lambda *_: []),
                }  # fmt: skip
                made += [
                    Plain(
                        name=f"{kind}, {age_name}, {volume}{', hidden' if hides else ''}",
                        age=age + 30,
                        length=length,
                        refuse=refuse,
                        per_minute=per_minute,
                        again=again,
                        also=also,
                        hides=hides,
                    )
                    for kind, (refuse, length, again, also) in kinds.items()
                ]
    return made
