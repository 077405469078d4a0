"""Telemetry: a clause about the evidence (C2 to C5, the clocks of C9) does not pass. Told once for all rollovers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.core.alerting.look import Look, Memory
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Clause, Json, Status
from monitor.core.instants import DAY_MS, parse_rfc3339, rfc3339

_CLAUSES = ("C2", "C3", "C4", "C5", "C9")
_ABOUT_MORE = ("C9",)
"""Clauses that ask for other things too: only what they list under `troubles` is telemetry."""
_STRANGERS = {
    "unregistered": "sends records and is not registered",
    "outlived": "still sends after its `until`",
}
_FEW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Silence:
    """A gateway's latest silence that is too long, and how many of them the window holds."""

    from_ms: int
    to_ms: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """One thing that is wrong: its clause, what of it, and the gateway and silence if it is a gateway's."""

    clause: str
    what: str | None = None
    gateway: str | None = None
    region: str | None = None
    silence: _Silence | None = None
    text: str
    rollovers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what tells it from others, and goes into its episode's name."""
        parts = [each for each in (self.clause, self.what, self.gateway) if each is not None]
        return ":".join(parts) if self.region is None else f"{':'.join(parts)}@{self.region}"


def follow_telemetry(memory: Memory, looks: Sequence[Look], now_ms: int) -> tuple[list[Alert], Memory]:
    """Return what follows from one tick's looks at all rollovers that are under way, and the memory.

    One episode for each gateway (C3, sampling) or trouble, however many rollovers feel it; told again within it when
    the same gateway falls silent anew; resolved when no rollover's window holds it any more.
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
        began = now_ms if told is None else told.get("began")
        silent_until = None if told is None else told.get("silent_until")
        if told is None or _anew(trouble.silence, silent_until):
            alerts.append(_alert(trouble, keys, began if isinstance(began, int) else now_ms, now_ms))
        after[name] = {
            "began": began,
            "clause": trouble.clause,
            "gateway": trouble.gateway,
            "region": trouble.region,
            "silent_until": silent_until if trouble.silence is None else trouble.silence.to_ms,
        }
    return alerts, after


def _anew(silence: _Silence | None, silent_until: Json) -> bool:
    """Return whether this silence came after the one that was told, and is not just the lateness of all its records.

    A gateway that is heard late at every look has one silence each time, which the next look finds filled.
    """
    if silence is None or not isinstance(silent_until, int) or silence.from_ms < silent_until:
        return False
    return silence.count > 1 or silence.from_ms - silent_until > DAY_MS


def _troubles(look: Look) -> Iterator[_Trouble]:
    for clause in look.decision.clauses:
        if clause.id not in _CLAUSES or clause.status is Status.PASS:
            continue
        gateways = list(_gateways(clause, look.now_ms)) if clause.id == "C3" else []
        if gateways or (clause.id == "C3" and clause.evidence.get("gateways")):
            yield from gateways  # or none: what lies before all history is nobody's silence
        elif isinstance(listed := clause.evidence.get("troubles"), Mapping):
            yield from _listed(clause, listed)
        elif clause.id not in _ABOUT_MORE:
            summaries = [each.summary for each in look.decision.blockers if each.clause == clause.id]
            yield _Trouble(clause=clause.id, text="; ".join(summaries[:_FEW]) or clause.summary)


def _listed(clause: Clause, listed: Mapping[str, Json]) -> Iterator[_Trouble]:
    """Yield what a clause's evidence lists, kind by kind: one that begins while another lasts is told too."""
    for what, entries in listed.items():
        texts = [each for each in entries if isinstance(each, str)] if isinstance(entries, list) else []
        if what == "sampling":
            for gateway in texts:
                text = f"gateway {gateway} samples its log"
                yield _Trouble(clause=clause.id, what=what, gateway=gateway, text=text)
        elif texts:
            yield _Trouble(clause=clause.id, what=what, text="; ".join(texts))


def _gateways(clause: Clause, now_ms: int) -> Iterator[_Trouble]:
    """Yield the gateways of C3's evidence that were silent for too long, and those that nobody registered."""
    gateways = clause.evidence.get("gateways")
    for each in gateways if isinstance(gateways, list) else []:
        if isinstance(each, Mapping):
            name, region, latest, count = (each.get(key) for key in ("gateway", "region", "latest_silence", "silences"))
            if isinstance(name, str) and isinstance(latest, Mapping) and isinstance(count, int):
                begin, end = latest.get("from"), latest.get("to")
                from_ms = parse_rfc3339(begin) if isinstance(begin, str) else now_ms
                until = f"from {begin} to {end}" if isinstance(end, str) else f"since {begin}"
                yield _Trouble(
                    clause=clause.id,
                    gateway=name,
                    region=region if isinstance(region, str) else None,
                    silence=_Silence(
                        from_ms=from_ms, to_ms=parse_rfc3339(end) if isinstance(end, str) else now_ms, count=count
                    ),
                    text=f"gateway {name} was not heard {until}"
                    if isinstance(end, str)
                    else f"gateway {name} has not been heard {until}",
                )
    for what, meaning in _STRANGERS.items():
        names = clause.evidence.get(what)
        for name in names if isinstance(names, list) else []:
            if isinstance(name, str):
                yield _Trouble(clause=clause.id, what=what, gateway=name, text=f"gateway {name} {meaning}")


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
        cause=clause if isinstance(clause := entry.get("clause"), str) else None,
        evidence={"kind": AlertKind.TELEMETRY.value, "opened_at": rfc3339(began_ms)},
    )


def _episode(name: str, began_ms: int) -> str:
    return f"{AlertKind.TELEMETRY.value}:{name}:{rfc3339(began_ms)}"
