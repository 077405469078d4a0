"""Telemetry: a clause about the evidence (C2 to C5) does not pass. Told once for all rollovers that feel it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.core.alerting.look import Look, Memory
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Clause, Json, Status
from monitor.core.instants import SECOND_MS, parse_rfc3339, rfc3339

_CLAUSES = ("C2", "C3", "C4", "C5")
_FEW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """One thing that is wrong: its clause, the gateway if it is one's, and since when that is silent."""

    clause: str
    gateway: str | None = None
    region: str | None = None
    silent_since_ms: int | None = None
    text: str
    rollovers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what tells it from others, and goes into its episode's name."""
        where = "" if self.gateway is None else f":{self.gateway}"
        return f"{self.clause}{where}" if self.region is None else f"{self.clause}{where}@{self.region}"


def follow_telemetry(memory: Memory, looks: Sequence[Look], now_ms: int) -> tuple[list[Alert], Memory]:
    """Return what follows from one tick's looks at all rollovers that are under way, and the memory.

    One episode for each gateway (C3) or clause, however many rollovers feel it; told again within it when the same
    gateway falls silent anew; resolved when no rollover's window holds it any more.
    """
    present: dict[str, _Trouble] = {}
    for look in looks:
        if not look.retired:
            for trouble in _troubles(look):
                known = present.get(trouble.name, replace(trouble, rollovers=()))
                present[trouble.name] = replace(known, rollovers=(*known.rollovers, look.rollover.id))
    keys = {look.rollover.id: look.rollover.key for look in looks}
    alerts: list[Alert] = []
    after: dict[str, Json] = {}
    for name, entry in memory.items():
        if name not in present and isinstance(entry, Mapping):
            alerts.append(_resolved(name, entry, now_ms))
    for name, trouble in present.items():
        entry = memory.get(name)
        told = entry if isinstance(entry, Mapping) else None
        since = None if told is None else told.get("silent_since")
        anew = (trouble.silent_since_ms is not None and isinstance(since, int) and trouble.silent_since_ms > since) or (
            trouble.silent_since_ms is not None and told is not None and since is None
        )
        began = now_ms if told is None else told.get("began")
        if told is None or anew:
            alerts.append(_alert(trouble, keys, began if isinstance(began, int) else now_ms, now_ms))
        after[name] = {
            "began": began,
            "clause": trouble.clause,
            "gateway": trouble.gateway,
            "region": trouble.region,
            "silent_since": trouble.silent_since_ms if trouble.silent_since_ms is not None else since,
        }
    return alerts, after


def _troubles(look: Look) -> Iterator[_Trouble]:
    for clause in look.decision.clauses:
        if clause.id not in _CLAUSES or clause.status is Status.PASS:
            continue
        silent = list(_silent_gateways(clause, look.now_ms)) if clause.id == "C3" else []
        yield from silent
        if not silent:
            summaries = [each.summary for each in look.decision.blockers if each.clause == clause.id]
            yield _Trouble(clause=clause.id, text="; ".join(summaries[:_FEW]) or clause.summary)


def _silent_gateways(clause: Clause, now_ms: int) -> Iterator[_Trouble]:
    """Yield the gateways of C3's evidence that were silent for too long, and those that nobody registered."""
    gateways = clause.evidence.get("gateways")
    for each in gateways if isinstance(gateways, list) else []:
        if isinstance(each, Mapping):
            name, region, last = each.get("gateway"), each.get("region"), each.get("last_record")
            longest, most = each.get("longest_silence_seconds"), each.get("max_silence_seconds")
            if isinstance(name, str) and isinstance(longest, int) and isinstance(most, int) and longest > most:
                last_ms = parse_rfc3339(last) if isinstance(last, str) else None
                lasts = last_ms is not None and now_ms - last_ms > most * SECOND_MS
                yield _Trouble(
                    clause=clause.id,
                    gateway=name,
                    region=region if isinstance(region, str) else None,
                    silent_since_ms=last_ms if lasts else None,
                    text=f"gateway {name} has not been heard since {last}"
                    if lasts
                    else f"gateway {name} was not heard for {longest} s within the window (allowed: {most} s)",
                )
    unregistered = clause.evidence.get("unregistered")
    for name in unregistered if isinstance(unregistered, list) else []:
        if isinstance(name, str):
            yield _Trouble(clause=clause.id, gateway=name, text=f"gateway {name} sends records and is not registered")


def _alert(trouble: _Trouble, keys: Mapping[str, str], began_ms: int, now_ms: int) -> Alert:
    alone = trouble.rollovers[0] if len(trouble.rollovers) == 1 else None
    return Alert(
        at_ms=now_ms,
        kind=AlertKind.TELEMETRY,
        episode=_episode(trouble.name, began_ms),
        severity=AlertSeverity.WARNING,
        text=f"{trouble.clause}: {trouble.text}. No GO for {', '.join(trouble.rollovers[:_FEW])}"
        f"{f' and {len(trouble.rollovers) - _FEW} more' if len(trouble.rollovers) > _FEW else ''} while that lasts.",
        rollover=alone,
        key=None if alone is None else keys[alone],
        gateway=trouble.gateway,
        region=trouble.region,
        cause=trouble.clause,
        evidence={"clause": trouble.clause, "rollovers": list(trouble.rollovers)},
    )


def _resolved(name: str, entry: Mapping[str, Json], now_ms: int) -> Alert:
    began, gateway, region = entry.get("began"), entry.get("gateway"), entry.get("region")
    began_ms = began if isinstance(began, int) else now_ms
    return Alert(
        at_ms=now_ms,
        kind=AlertKind.RESOLVED,
        episode=_episode(name, began_ms),
        severity=AlertSeverity.INFO,
        text=f"{name}: no window is touched by it any more",
        gateway=gateway if isinstance(gateway, str) else None,
        region=region if isinstance(region, str) else None,
        cause=name.partition(":")[0],
        evidence={"kind": AlertKind.TELEMETRY.value, "opened_at": rfc3339(began_ms)},
    )


def _episode(name: str, began_ms: int) -> str:
    return f"{AlertKind.TELEMETRY.value}:{name}:{rfc3339(began_ms)}"
