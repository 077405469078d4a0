"""Makes decisions in a snapshot: the gate's one caller, for the watch loop, HTTP and the command line alike.

It adds what only the daemon knows (is the watch loop alive, is the detector ready, was a keys file refused), and turns
every exception out of the gate into UNKNOWN with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from monitor.control.memos import KEYS_FILE_MEMO, WATCH_MEMO
from monitor.control.unknown import unknown_decision
from monitor.core.decision import Decision, Json
from monitor.core.evidence import KeyEvidence, Telemetry
from monitor.core.gate import CallerCache, Standing, caller_states, decide
from monitor.core.instants import SECOND_MS, format_duration
from monitor.core.policy import Policy
from monitor.core.registry import Registry, Rollover
from monitor.errors import NotFound
from monitor.ports import Snapshot

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen in one snapshot, and decided on it. Mappings are by rollover."""

    now_ms: int
    registry: Registry
    telemetry: Telemetry
    evidence: Mapping[str, KeyEvidence]
    decisions: Mapping[str, Decision]
    standings: Mapping[str, Sequence[Standing]]


class Judge:
    """Decides. `policy` is what rollovers start from.

    `last_registry` is the registry as it was last read: an answer without a database can still name key and versions.
    """

    def __init__(self, *, policy: Policy, stale_after_ms: int, two_person: bool = False) -> None:
        """Remember what it goes by; a watch loop that last looked longer ago than `stale_after_ms` is dead.

        two_person: an override needs somebody else's approval.
        """
        self.two_person = two_person
        self._policy = policy
        self.stale_after_ms = stale_after_ms
        self.last_registry: Registry | None = None

    @property
    def policy(self) -> Policy:
        """Return what every rollover's policy starts from."""
        return self._policy

    def policy_of(self, rollover: Rollover) -> Policy:
        """Return the policy in force for a rollover."""
        return self._policy.overridden(dict(rollover.policy))

    def decide_one(self, snapshot: Snapshot, rollover: str, *, now_ms: int, region: str | None = None) -> Decision:
        """Decide on one rollover from what the snapshot holds. Raises `NotFound`."""
        return self.decide_all(snapshot, [rollover], now_ms=now_ms, region=region).decisions[rollover]

    def decide_all(
        self,
        snapshot: Snapshot,
        rollovers: Iterable[str] | None = None,
        *,
        now_ms: int,
        region: str | None = None,
        detector: tuple[str | None] | None = None,
        cache: CallerCache | None = None,
        with_standings: bool = False,
    ) -> Sight:
        """Decide on these rollovers (all, unless given) in one reading. Raises `NotFound` for an unknown one.

        `detector` is what the watch loop itself knows of its detector: `(None,)` is ready, `("why",)` is not; without
        it, the loop's memo is asked, and an old one means that nobody looks. A cache belongs to one thread.
        """
        registry = self.last_registry = snapshot.registry()
        wanted = list(registry.rollover_by_id) if rollovers is None else list(rollovers)
        for each in wanted:
            if each not in registry.rollover_by_id:
                raise NotFound(f"no rollover {each!r}; `rollwatch rollover list` shows those that are known")
        policies = {each: self.policy_of(registry.rollover_by_id[each]) for each in wanted}
        known = list(policies.values()) or [self._policy]
        telemetry = snapshot.telemetry(
            now_ms,
            fine_window_ms=max(each.quiet_window_ms for each in known),
            lookback_ms=max(each.lookback_ms for each in known),
        )
        not_ready = detector[0] if detector is not None else self._detector_by_memo(snapshot, now_ms)
        notes = _notes(snapshot.memo(KEYS_FILE_MEMO))
        read = snapshot.keys(wanted, now_ms) if wanted else {}
        evidence = {rollover: replace(each, detector=not_ready) for rollover, each in read.items()}
        decisions: dict[str, Decision] = {}
        standings: dict[str, Sequence[Standing]] = {}
        for each in wanted:
            rollover = registry.rollover_by_id[each]
            try:
                made = decide(
                    rollover=rollover,
                    registry=registry,
                    policy=policies[each],
                    evidence=evidence[each],
                    telemetry=telemetry,
                    region=region,
                    cache=cache,
                )
                if with_standings:
                    standings[each] = caller_states(
                        rollover=rollover,
                        registry=registry,
                        policy=policies[each],
                        evidence=evidence[each],
                        telemetry=telemetry,
                        region=region,
                        cache=cache,
                    )
            except Exception as error:
                log.exception("gate_error", rollover=each, error=type(error).__name__)
                why = f"the gate failed with {type(error).__name__}"
                made = unknown_decision(rollover, region=region, why=why, now_ms=now_ms)
            decisions[each] = replace(made, telemetry_notes=(*made.telemetry_notes, *notes)) if notes else made
        return Sight(
            now_ms=now_ms,
            registry=registry,
            telemetry=telemetry,
            evidence=evidence,
            decisions=decisions,
            standings=standings,
        )

    def _detector_by_memo(self, snapshot: Snapshot, now_ms: int) -> str | None:
        """Return why the detector's silence means nothing, as the watch loop left it."""
        memo = snapshot.memo(WATCH_MEMO)
        if memo is None:
            return "nobody watches: no `rollwatch run` with the role `watch` has looked yet"
        at_ms = memo.get("at_ms")
        if not isinstance(at_ms, int) or now_ms - at_ms > self.stale_after_ms:
            age = format_duration((now_ms - at_ms) // SECOND_MS * SECOND_MS) if isinstance(at_ms, int) else "ever"
            return f"nobody watches: the last look at all rollovers was {age} ago"
        why = memo.get("detector")
        return None if why is None else str(why)


def _notes(memo: Mapping[str, Json] | None) -> tuple[str, ...]:
    error = memo.get("error") if memo is not None else None
    return (f"the keys file was refused, the last good one is in force: {error}",) if error else ()
