"""Which scope explains best who fails and who succeeds: one gateway, several, a region, a caller, an environment, all.

Each scope is a claim, "inside it requests fail, outside they do not", weighed by its marginal likelihood over the cells
caller x gateway since the trouble began, so that structure decides where gateways hide the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from models.breakdown import Evidence
from models.history import BIN_MINUTES, NAMELESS, CallerKey, KeyPast, RecentFailure, VersionPast

_INSIDE = ((0.65, 5.0, 0.7), (0.35, 2.0, 4.0))
"""Weights and Beta priors of the share that fails inside: nearly all of it, or a weak part."""
_OUTSIDE = (0.1, 12.0)
_PER_MINUTE = 2
_PER_BIN = 3
"""Retries and bursts of one caller are one witness, not many: counts are capped per minute and per five minutes."""


_Inside = Callable[..., bool]
"""Whether a caller and a gateway belong to a scope."""


class Scope(StrEnum):
    """What an explanation blames."""

    GATEWAY = "gateway"
    GATEWAYS = "gateways"
    REGION = "region"
    CALLER = "caller"
    SOURCE = "source"
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One scope's best candidate: its name, its log likelihood, and what failed of what was asked inside it."""

    scope: Scope
    name: str
    fit: float
    failures: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Failures and successes of a version since its trouble began, by (caller, gateway): true and capped counts."""

    onset: int
    failed: Mapping[tuple[CallerKey, str], int]
    ok: Mapping[tuple[CallerKey, str], int]
    failed_capped: Mapping[tuple[CallerKey, str], int]
    ok_capped: Mapping[tuple[CallerKey, str], int]


@lru_cache(maxsize=1 << 14)
def log_beta(a: float, b: float) -> float:
    """Return the log of the Beta function; counts are mostly small, and the same ones come again and again."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _beta_binomial(failed: float, ok: float, a: float, b: float) -> float:
    return log_beta(failed + a, ok + b) - log_beta(a, b)


def _inside(failed: float, ok: float) -> float:
    parts = [math.log(w) + _beta_binomial(failed, ok, a, b) for w, a, b in _INSIDE]
    top = max(parts)
    return top + math.log(sum(math.exp(p - top) for p in parts))


def claim(failed: float, ok: float, failed_outside: float, ok_outside: float, choices: int) -> float:
    """Return the log likelihood that requests fail inside and not outside, less that of so many choices."""
    return _inside(failed, ok) + _beta_binomial(failed_outside, ok_outside, *_OUTSIDE) - math.log(max(1, choices))


def background(failed: float, ok: float) -> float:
    """Return the log likelihood that these are the few failures that there always are."""
    return _beta_binomial(failed, ok, *_OUTSIDE)


def cells(version: VersionPast, evidence: Evidence) -> Cells:
    """Collect what failed and what succeeded since the trouble began."""
    fresh = {c.who for c in evidence.callers if c.runs_before == 0}
    chosen = [f for f in evidence.failures if f.caller in fresh] or list(evidence.failures)
    return cells_since(version, evidence.failures, min(f.minute for f in chosen))


def cells_since(version: VersionPast, failures: Iterable[RecentFailure], onset: int) -> Cells:
    """Collect the given failures and the version's successes from a minute on."""
    failed: dict[tuple[CallerKey, str], int] = {}
    capped: dict[tuple[CallerKey, str], int] = {}
    for f in failures:
        if f.minute >= onset:
            at = (f.caller, f.gateway)
            failed[at] = failed.get(at, 0) + f.count
            capped[at] = capped.get(at, 0) + min(f.count, _PER_MINUTE)
    ok: dict[tuple[CallerKey, str], int] = {}
    ok_capped: dict[tuple[CallerKey, str], int] = {}
    for number, slab in version.joint:
        if number * BIN_MINUTES + BIN_MINUTES > onset:
            for at, n in slab.items():
                ok[at] = ok.get(at, 0) + n
                ok_capped[at] = ok_capped.get(at, 0) + min(n, _PER_BIN)
    return Cells(onset=onset, failed=failed, ok=ok, failed_capped=capped, ok_capped=ok_capped)


def explanations(
    key: KeyPast,
    number: int,
    found: Cells,
    region_of: Callable[[str], str],
    is_environment: Callable[[str], bool] = lambda _: True,
) -> dict[Scope, Explanation]:
    """Return the best candidate of each scope that applies; `EVERYONE` always does.

    Args:
        key: the key's past.
        number: the failing version.
        found: its cells since the trouble began.
        region_of: a gateway's region, "" where none is known.
        is_environment: tells a source that several clients share from one client's own address, which says no more
            than its caller does.
    """
    version = key.versions[number]
    fails_at: dict[str, float] = {}
    ok_at: dict[str, float] = {}
    fails_of: dict[CallerKey, float] = {}
    ok_of: dict[CallerKey, float] = {}
    for (who, gateway), n in found.failed_capped.items():
        fails_at[gateway] = fails_at.get(gateway, 0) + n
        fails_of[who] = fails_of.get(who, 0) + n
    for (who, gateway), n in found.ok_capped.items():
        ok_at[gateway] = ok_at.get(gateway, 0) + n
        ok_of[who] = ok_of.get(who, 0) + n
    total, total_ok = sum(fails_of.values()), sum(ok_of.values())
    gateways = set(version.ever_ok_at) | set(fails_at)
    best: dict[Scope, tuple[float, str, _Inside]] = {}

    def offer(scope: Scope, name: str, failed: float, ok: float, *, choices: int, inside: _Inside) -> None:
        fit = claim(failed, ok, total - failed, total_ok - ok, choices)
        if scope not in best or fit > best[scope][0]:
            best[scope] = (fit, name, inside)

    for g, failing in fails_at.items():
        offer(Scope.GATEWAY, g, failing, ok_at.get(g, 0), choices=len(gateways), inside=lambda _, at, g=g: at == g)
    broken = {g for g, n in fails_at.items() if n > 0.15 * ok_at.get(g, 0)}
    if len(broken) > 1 and len(gateways) > len(broken):
        offer(
            Scope.GATEWAYS,
            ", ".join(sorted(broken)),
            sum(fails_at[g] for g in broken),
            sum(ok_at.get(g, 0) for g in broken),
            choices=len(gateways) ** 2,
            inside=lambda _, at: at in broken,
        )
    regions = {region_of(g) for g in gateways}
    for region in {region_of(g) for g in fails_at} if len(regions) > 1 else ():
        here = {g for g in gateways if region_of(g) == region}
        offer(
            Scope.REGION,
            region,
            sum(fails_at.get(g, 0) for g in here),
            sum(ok_at.get(g, 0) for g in here),
            choices=len(regions),
            inside=lambda _, at, here=here: at in here,
        )
    known = {who for who, past in key.callers.items() if number in past.versions}
    for who, failing in fails_of.items():
        offer(
            Scope.CALLER,
            "/".join(w for w in who if w and w != NAMELESS) or "without a name",
            failing,
            ok_of.get(who, 0),
            choices=len(known),
            inside=lambda mine, _, who=who: mine == who,
        )
    _offer_clients(offer, known, fails_of, ok_of)
    sources = {who[1] for who in known}
    for source in filter(is_environment, {who[1] for who in fails_of}) if len(sources) > 1 else ():
        same = {who for who in known if who[1] == source}
        offer(
            Scope.SOURCE,
            source,
            sum(fails_of.get(who, 0) for who in same),
            sum(ok_of.get(who, 0) for who in same),
            choices=len(sources),
            inside=lambda mine, _, same=same: mine in same,
        )
    offer(Scope.EVERYONE, "", total, total_ok, choices=1, inside=lambda *_: True)
    return {scope: _explanation(scope, *candidate, found) for scope, candidate in best.items()}


def _explanation(scope: Scope, fit: float, name: str, inside: _Inside, found: Cells) -> Explanation:
    """Count what failed of what was asked inside: true counts, for people to read."""
    failures = sum(n for at, n in found.failed.items() if inside(*at))
    asked = failures + sum(n for at, n in found.ok.items() if inside(*at))
    return Explanation(scope=scope, name=name, fit=fit, failures=failures, requests=asked)


def _offer_clients(
    offer: Callable[..., None],
    known: set[CallerKey],
    fails_of: Mapping[CallerKey, float],
    ok_of: Mapping[CallerKey, float],
) -> None:
    """Offer clients that fail from several sources at once: one caller's fault may hit all its processes."""
    clients = {who[0] for who in known}
    for client in {who[0] for who in fails_of} - {"", NAMELESS}:
        mine = {who for who in known if who[0] == client}
        if sum(who in fails_of for who in mine) > 1:
            offer(
                Scope.CALLER,
                client,
                sum(fails_of.get(who, 0) for who in mine),
                sum(ok_of.get(who, 0) for who in mine),
                choices=len(clients),
                inside=lambda who, _, mine=mine: who in mine,
            )
