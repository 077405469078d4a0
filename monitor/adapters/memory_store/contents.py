"""All that the store in memory holds, and the rules that need more than one part of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from monitor.adapters.memory_store.audit import AuditChain
from monitor.adapters.memory_store.counts import Counts
from monitor.adapters.memory_store.journal import Journal
from monitor.adapters.memory_store.mail import Mail
from monitor.adapters.memory_store.partitions import Partitions
from monitor.adapters.memory_store.registering import Registered
from monitor.core.chain import canonical_json
from monitor.core.decision import CallerState, Decision, Json
from monitor.core.evidence import CallerRecord
from monitor.core.registry import Pin, Rollover, Waiver
from monitor.errors import Conflict, NotFound
from monitor.ports.evidence_store import CallerStateKey
from monitor.ports.lifecycle import Evaluation, RolloverState, Token
from monitor.ports.outbox import Incident
from monitor.ports.reading import RejectRow

_BACK_IN_USE = frozenset({"rolled_back"})
"""States in which the old version is in use again: a former retirement no longer counts."""


class Contents:
    """The parts, joined by one journal. Whoever calls holds the store's lock."""

    def __init__(self, *, series: bool) -> None:
        """Start empty."""
        self.journal = Journal()
        self.counts = Counts(series=series)
        self.partitions = Partitions()
        self.registered = Registered(self.journal)
        self.audit = AuditChain(self.journal)
        self.mail = Mail(self.journal)
        self.rejects: list[RejectRow] = []
        self.tokens: list[Token] = []
        self.evaluations: dict[str, Evaluation] = {}
        self.states: dict[CallerStateKey, CallerState] = {}
        self.incidents: dict[str, Incident] = {}
        self.memos: dict[str, Mapping[str, Json]] = {}
        self._steps: dict[str, tuple[str, int, str, str | None]] = {}
        """(state, since ms, by, reason) of rollovers that somebody has moved."""
        self.acknowledged: dict[str, str] = {}
        """Who said of a rollover that its old version was never used."""
        self._unregistered: tuple[tuple[int, int], tuple[CallerRecord, ...]] = ((-1, -1), ())

    # --- looks

    def rollover(self, name: str) -> Rollover:
        """Return a rollover. Raises `NotFound`."""
        found = self.registered.registry().rollover_by_id.get(name)
        if found is None:
            raise NotFound(f"there is no rollover {name!a}")
        return found

    def state(self, name: str, now_ms: int) -> RolloverState:
        """Return where a rollover stands. Raises `NotFound`."""
        rollover = self.rollover(name)
        if name in self._steps:
            state, since_ms, by, reason = self._steps[name]
            return RolloverState(rollover=rollover, state=state, since_ms=since_ms, by=by, reason=reason)
        state = "planned" if now_ms < rollover.started_at_ms else "overlap"
        return RolloverState(rollover=rollover, state=state, since_ms=rollover.started_at_ms)

    def unregistered(self) -> tuple[CallerRecord, ...]:
        """Return the callers of credentials that had a success and are not registered."""
        mark = (self.counts.callers_revision, self.registered.revision)
        if self._unregistered[0] != mark:
            registered = self.registered.registry().version_of
            self._unregistered = (mark, tuple(self.counts.unregistered(registered)))
        return self._unregistered[1]

    # --- steps: each is audited

    def start(self, rollover: Rollover, *, by: str, now_ms: int) -> None:
        """Add a rollover; see `Snapshot.start_rollover`."""
        if rollover.id in self.registered.registry().rollover_by_id:
            raise Conflict(f"there is a rollover {rollover.id!a} already")
        self._version(rollover.key, rollover.from_version)
        self._version(rollover.key, rollover.to_version)
        self.registered.add(rollover)
        body: dict[str, Json] = {
            "key": rollover.key,
            "from_version": rollover.from_version,
            "to_version": rollover.to_version,
            "started_at_ms": rollover.started_at_ms,
            "by": by,
        }
        self.audit.append("rollover_started", rollover=rollover.id, body=body, at_ms=now_ms)

    def transition(self, name: str, *, expected: str, to: str, by: str, reason: str | None, now_ms: int) -> None:
        """Move a rollover by compare-and-set; see `Snapshot.transition`."""
        state = self.state(name, now_ms).state
        if state != expected:
            raise Conflict(f"rollover {name!a} is {state}, not {expected}")
        self.journal.put(self._steps, name, (to, now_ms, by, reason))
        if to == "retired":
            self.registered.retire(name, now_ms)
        elif to in _BACK_IN_USE:
            self.registered.retire(name, None)
        else:
            self.registered.touch()
        body: dict[str, Json] = {"from": state, "to": to, "by": by, "reason": reason}
        self.audit.append("transition", rollover=name, body=body, at_ms=now_ms)

    def waive(self, waiver: Waiver, *, now_ms: int) -> None:
        """Add a waiver; see `Snapshot.waive`."""
        self.rollover(waiver.rollover)
        self.registered.add(waiver)
        body: dict[str, Json] = {
            "client": waiver.client,
            "source": waiver.source,
            "reason": waiver.reason,
            "by": waiver.by,
            "from_ms": waiver.from_ms,
            "until_ms": waiver.until_ms,
        }
        self.audit.append("waiver", rollover=waiver.rollover, body=body, at_ms=now_ms)

    def pin(self, pin: Pin, *, now_ms: int) -> None:
        """Pin a version; see `Snapshot.pin`."""
        self._version(pin.key, pin.version)
        self.registered.add(pin)
        body: dict[str, Json] = {
            "key": pin.key,
            "version": pin.version,
            "reason": pin.reason,
            "by": pin.by,
            "until_ms": pin.until_ms,
        }
        self.audit.append("pin", rollover=None, body=body, at_ms=now_ms)

    def unpin(self, key: str, version: int, *, by: str, reason: str, now_ms: int) -> None:
        """Take pins off; see `Snapshot.unpin`."""
        if not self.registered.remove_pins(key, version):
            raise NotFound(f"version {version} of {key!a} is not pinned")
        body: dict[str, Json] = {"key": key, "version": version, "by": by, "reason": reason}
        self.audit.append("unpin", rollover=None, body=body, at_ms=now_ms)

    def acknowledge(self, name: str, *, by: str, reason: str, now_ms: int) -> None:
        """Record that the old version was never used; see `Snapshot.acknowledge_never_used`."""
        self.rollover(name)
        self.journal.put(self.acknowledged, name, by)
        body: dict[str, Json] = {"by": by, "reason": reason}
        self.audit.append("never_used_acknowledged", rollover=name, body=body, at_ms=now_ms)

    def _version(self, key: str, version: int) -> None:
        known = self.registered.registry().key_by_name.get(key)
        if known is None:
            raise NotFound(f"there is no key {key!a}")
        if known.version(version) is None:
            raise NotFound(f"there is no version {version} of {key!a}")

    # --- decisions and memos

    def keep_evaluation(self, decision: Decision) -> None:
        """Keep the latest decision of a rollover; one of a single region is not kept."""
        if decision.region is not None:
            return
        evaluation = Evaluation(
            rollover=decision.rollover,
            evaluated_at_ms=decision.evaluated_at_ms,
            verdict=decision.verdict.value,
            body=copied(decision.as_json()),
        )
        self.journal.put(self.evaluations, decision.rollover, evaluation)

    def keep_memo(self, name: str, body: Mapping[str, Json]) -> None:
        """Keep a named document."""
        self.journal.put(self.memos, name, copied(body))


def copied(body: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a copy by way of its JSON text, which is what a database would give back."""
    plain: Mapping[str, Json] = json.loads(canonical_json(body))
    return plain
