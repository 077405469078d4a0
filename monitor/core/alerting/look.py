"""What a rule may look at, and the episodes that it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from monitor.core.alerting.callers import CallerId, Callers
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Blocker, Decision, Json, Status, Verdict
from monitor.core.instants import rfc3339
from monitor.core.registry import Key, Registry, Rollover
from monitor.core.untrusted import harmless

Memory = Mapping[str, Json]
"""What a rule has told so far, as JSON. Empty at first."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One rollover at one moment: the decision, and the evidence that it was made from."""

    rollover: Rollover
    key: Key
    registry: Registry
    decision: Decision
    callers: Callers
    history_start_ms: int | None
    now_ms: int

    @property
    def retired(self) -> bool:
        """Return whether the old version has been retired."""
        return self.rollover.retired_at_ms is not None and self.rollover.retired_at_ms <= self.now_ms

    @property
    def is_go(self) -> bool:
        """Return whether the gate says GO."""
        return self.decision.verdict is Verdict.GO

    @cached_property
    def holders(self) -> Mapping[CallerId, Blocker]:
        """Return the callers that hold clause C7, with why."""
        return {
            (each.caller.client, each.caller.source): each
            for each in self.decision.blockers
            if each.clause == "C7" and each.caller is not None
        }

    @cached_property
    def holders_known(self) -> bool:
        """Return whether C7 could look at the callers at all; if not, nobody may be called cleared."""
        status = next((each.status for each in self.decision.clauses if each.id == "C7"), Status.UNKNOWN)
        return status is not Status.UNKNOWN or bool(self.holders)

    @cached_property
    def exempt(self) -> Exempt:
        """Return who is waived or registered noise now."""
        return Exempt.of(self.registry, self.rollover, self.now_ms)

    def alert(
        self,
        kind: AlertKind,
        *,
        severity: AlertSeverity,
        text: str,
        caller: CallerId | None = None,
        cause: str | None = None,
        episode: str | None = None,
        version: int | None = None,
        evidence: Mapping[str, Json] | None = None,
    ) -> Alert:
        """Return an alert of this rollover; its episode is named after the caller unless another name is given."""
        client, source = caller or (None, None)
        return Alert(
            at_ms=self.now_ms,
            kind=kind,
            episode=episode or episode_name(kind, self.rollover.id, caller),
            severity=severity,
            text=text,
            rollover=self.rollover.id,
            key=self.rollover.key,
            version=self.rollover.from_version if version is None else version,
            client=client,
            source=source,
            cause=cause,
            evidence=evidence or {},
        )


@dataclass(frozen=True, slots=True)
class Exempt:
    """Callers of whom people have said that they may stay."""

    waived: frozenset[tuple[str, str | None]]
    noise: frozenset[tuple[str, str | None]]

    @classmethod
    def of(cls, registry: Registry, rollover: Rollover, now_ms: int) -> Exempt:
        """Return those of this rollover now; an entry without source covers all sources of its client."""
        return cls(
            frozenset(
                (each.client, each.source)
                for each in registry.waivers
                if each.rollover == rollover.id
                and (each.from_ms is None or each.from_ms <= now_ms)
                and (each.until_ms is None or now_ms < each.until_ms)
            ),
            frozenset(
                (each.client, each.source) for each in registry.noise if each.until_ms is None or now_ms < each.until_ms
            ),
        )

    def covers(self, caller: CallerId) -> bool:
        """Return whether the caller is waived or registered noise."""
        client, source = caller
        return client is not None and any(
            (client, each) in names for names in (self.waived, self.noise) for each in (source, None)
        )


def episode_name(kind: AlertKind, rollover: str, caller: CallerId | None = None, began_ms: int | None = None) -> str:
    """Return the stable name of an episode."""
    parts = [kind.value, rollover]
    if caller is not None:
        parts.append("/".join("-" if each is None else each for each in caller))
    if began_ms is not None:
        parts.append(rfc3339(began_ms))
    return ":".join(parts)


def resolved(told: Alert, *, now_ms: int, text: str, cause: str | None = None) -> Alert:
    """Return the end of an episode that began with `told` (or one of the same names)."""
    return replace(
        told,
        at_ms=now_ms,
        kind=AlertKind.RESOLVED,
        severity=AlertSeverity.INFO,
        text=text,
        cause=told.cause if cause is None else cause,
        evidence={"kind": told.kind.value, "opened_at": rfc3339(told.at_ms)},
    )


def name_of(caller: CallerId) -> str:
    """Return a caller for a sentence: its names come from logs."""
    client, source = caller
    return harmless(client) if source is None else f"{harmless(client)}/{harmless(source)}"


def caller_code(caller: CallerId) -> list[Json]:
    """Return a caller as JSON, for memories."""
    return [caller[0], caller[1]]


def decoded(items: Json | None) -> Iterable[tuple[CallerId, Mapping[str, Json]]]:
    """Yield (caller, its entry) of a memory's list of `{"caller": [client, source], …}`."""
    if isinstance(items, list):
        for item in items:
            if isinstance(item, Mapping):
                pair = item.get("caller")
                if isinstance(pair, list) and len(pair) == 2:  # noqa: PLR2004 - a pair
                    client, source = pair
                    yield (
                        (client if isinstance(client, str) else None, source if isinstance(source, str) else None),
                        item,
                    )
