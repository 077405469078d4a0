"""C5: whatever succeeded is attributed to a key, nothing was unreadable, nothing was sampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from monitor.core.callers.profile import profile
from monitor.core.callers.standing import covers
from monitor.core.decision import Status
from monitor.core.evidence import CallerRecord, HourCount
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import HOUR_MS, rfc3339

CLAUSE = "C5"
_NAMED = 3
REJECTS_WAIVER = "@rejects"
"""A waiver of this client accepts the window's unreadable records; its `source` may name one reject reason."""


def attribution(look: Look) -> Finding:
    """Judge what could not be attributed: unregistered credentials with success, rejects, sampling."""
    telemetry = look.telemetry
    strays, rejects, sampling = list(_unregistered(look)), list(_rejects(look)), _sampling_gateways(look)
    return finding(
        CLAUSE,
        [*strays, *rejects, *_sampling(look, sampling)],
        passed="every success belongs to a registered or unmanaged credential; nothing was rejected or sampled",
        evidence={
            "troubles": {
                "unregistered": [each.blocker.summary for each in strays[:_NAMED]],
                "rejects": [each.blocker.summary for each in rejects[:_NAMED]],
                "sampling": [*sorted(sampling)],
            },
            "unregistered_callers": len(telemetry.unregistered),
            "rejects_in_window": sum(each.count for each in telemetry.rejects if each.last_ms >= look.window_from_ms),
            "sampled_in_window": sum(each.count for each in telemetry.sampled if each.last_ms >= look.window_from_ms),
        },
    )


def _unregistered(look: Look) -> Iterator[Trouble]:
    by_credential: dict[str, list[CallerRecord]] = {}
    for record in look.telemetry.unregistered:
        if (
            record.facts.accepted
            and not _unmanaged(look, record)
            and (look.region is None or record.region in (None, look.region))
        ):
            by_credential.setdefault(record.credential, []).append(record)
    # by spelling, only where somebody has to be told: a tick over a thousand rollovers must not spell every credential
    registered = {_canonical(each): each for each in look.registry.version_of} if by_credential else {}
    for credential, records in sorted(by_credential.items()):
        clears = [_silent_from(look, mine) for mine in _by_caller(records)]
        late = [at for at in clears if at > look.now_ms]
        if not late:
            continue
        twin = registered.get(_canonical(credential))
        who = sorted({f"{each.client or '-'}/{each.source or '-'}" for each in records})
        yield trouble(
            CLAUSE,
            Status.UNKNOWN,
            (f"credential {credential} succeeds" if credential else "requests without any credential succeed")
            + f" and is not registered (last at {rfc3339(_last(records))}, by {', '.join(who[:3])}"
            + (f" and {len(who) - 3} more)" if len(who) > 3 else ")")  # noqa: PLR2004 - names enough to act on
            + ("" if twin is None else f"; it differs from the registered {twin} in spelling only"),
            "register it, list it under `unmanaged`, or it falls silent",
            clears_at_ms=max(late),
        )


def _last(records: Sequence[CallerRecord]) -> int:
    return max(each.facts.last_accepted_ms or 0 for each in records)


def _by_caller(records: Sequence[CallerRecord]) -> list[list[CallerRecord]]:
    made: dict[tuple[str | None, str | None], list[CallerRecord]] = {}
    for record in records:
        made.setdefault((record.client, record.source), []).append(record)
    return list(made.values())


def _silent_from(look: Look, records: Sequence[CallerRecord]) -> int:
    """Return when a caller of an unregistered credential counts as gone, by the rule for `presumed_gone`."""
    who, _ = profile(records, (), look.policy)
    silence = look.policy.longest_cadence_ms if who.gone_silence_ms is None else who.gone_silence_ms
    return max(who.last_sign_ms, look.coverage.blind_until_ms) + silence


def _unmanaged(look: Look, record: CallerRecord) -> bool:
    gateways = look.telemetry.unregistered_gateways.get(record.credential, ())
    accepted = {
        each.gateway
        for each in look.registry.unmanaged
        if each.gateway is not None and (each.until_ms is None or look.now_ms < each.until_ms)
    }
    if gateways and accepted.issuperset(gateways):
        return True
    return any(
        (each.until_ms is None or look.now_ms < each.until_ms)
        and (
            (each.credential is not None and each.credential == record.credential)
            or (each.client is not None and each.client == record.client)
        )
        for each in look.registry.unmanaged
    )


def _canonical(credential: str) -> str:
    return "".join(each for each in credential.casefold() if each.isalnum())


def _rejects(look: Look) -> Iterator[Trouble]:
    waivers = [each for each in look.rules.waivers if each.client == REJECTS_WAIVER and covers(each, look.now_ms)]
    reasons: dict[str, list[HourCount]] = {}
    for hour in look.telemetry.rejects:
        waived = any(each.source in (None, hour.detail) for each in waivers)
        if hour.last_ms >= look.window_from_ms and not waived:
            reasons.setdefault(hour.detail, []).append(hour)
    for reason, hours in sorted(reasons.items()):
        last = max(each.last_ms for each in hours)
        yield trouble(
            CLAUSE,
            Status.UNKNOWN,
            f"{sum(each.count for each in hours)} records could not be read ({reason}), the last at {rfc3339(last)}",
            f"they leave the window, or a waiver of client {REJECTS_WAIVER} accepts them",
            clears_at_ms=last + look.policy.quiet_window_ms + 1,
        )


def _sampling_gateways(look: Look) -> dict[str, int]:
    """Return the gateways that sampled their log within the window, and when last."""
    accepted = {each.gateway for each in look.registry.unmanaged if each.gateway is not None}
    gateways: dict[str, int] = {}
    for hour in look.telemetry.sampled:
        if hour.last_ms >= look.window_from_ms and hour.detail not in accepted:
            gateways[hour.detail] = max(hour.last_ms, gateways.get(hour.detail, 0))
    return gateways


def _sampling(look: Look, gateways: Mapping[str, int]) -> Iterator[Trouble]:
    for gateway, last in sorted(gateways.items()):
        yield trouble(
            CLAUSE,
            Status.UNKNOWN,
            f"gateway {gateway} samples its log: the last record with a sample_rate below 1 was at {rfc3339(last)}",
            "log every request there, and let the sampled time leave the window",
            clears_at_ms=max(last + 1, last - last % HOUR_MS) + look.policy.quiet_window_ms,
        )
