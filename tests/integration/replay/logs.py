"""Small logs and a registry, replayed through the engine itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.core.alerts import Alert
from monitor.core.decision import Blocker, Decision
from monitor.core.instants import HOUR_MS, MINUTE_MS, parse_rfc3339, rfc3339
from monitor.core.mapping import compile_mapping
from monitor.core.policy import Policy
from monitor.core.registry import Registry
from monitor.core.registry_file import parse_registry
from monitor.replay.replayer import Replay, ReplayPlan

START = parse_rfc3339("2026-05-10T00:00:00Z")
"""When the rollover of `registry_text()` begins."""


def registry_text(**rollover: object) -> str:
    """Return keys.yaml of one key, one gateway and one rollover (or none: `registry_text(id=None)`)."""
    entry = {"id": "billing", "key": "billing-api", "from": 1, "to": 2, "started_at": rfc3339(START), **rollover}
    return json.dumps(
        {
            "keys": [
                {
                    "key": "billing-api",
                    "versions": [{"version": 1, "credentials": ["old"]}, {"version": 2, "credentials": ["new"]}],
                }
            ],
            "gateways": [{"gateway": "edge-1", "region": "eu"}],
            "rollovers": [entry] if entry["id"] else [],
        }
    )


def registry(**rollover: object) -> Registry:
    """Return the same as a value."""
    return parse_registry(registry_text(**rollover), name="keys.yaml")


def event(ts_ms: int | None, credential: str = "old", *, who: str = "acme", **more: object) -> bytes:
    """Return one canonical event; without a time, one whose time cannot be read."""
    body = {
        "ts": "yesterday" if ts_ms is None else rfc3339(ts_ms),
        "outcome": "success",
        "credential": credential,
        "client": who,
        "source": "eu",
        "gateway": "edge-1",
        "region": "eu",
        **more,
    }
    return json.dumps(body).encode()


def heartbeat(from_ms: int, to_ms: int, *, step_ms: int = 5 * MINUTE_MS) -> list[bytes]:
    """Return what keeps a gateway heard: a stranger's failures, which concern nobody."""
    return [
        event(at, "guess", who="stranger", outcome="failure", reason="unknown_credential")
        for at in range(from_ms, to_ms, step_ms)
    ]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replay gave."""

    decisions: list[Decision]
    alerts: list[Alert]

    @property
    def times(self) -> list[str]:
        """Return the checkpoints that were decided."""
        return [rfc3339(each.evaluated_at_ms) for each in self.decisions]

    def at(self, now_ms: int) -> Decision:
        """Return the decision of that checkpoint."""
        return next(each for each in self.decisions if each.evaluated_at_ms == now_ms)

    def blockers(self, now_ms: int, clause: str) -> list[Blocker]:
        """Return that clause's blockers at that checkpoint."""
        return [each for each in self.at(now_ms).blockers if each.clause == clause]

    def holding(self, now_ms: int) -> dict[str | None, int | None]:
        """Return the clients that hold clause C7 at that checkpoint, and when they were last seen."""
        held = [each for each in self.blockers(now_ms, "C7") if each.caller is not None]
        return {each.caller.client: each.last_seen_ms for each in held if each.caller is not None}


def replayed(
    lines: Sequence[bytes],
    *,
    keys: Registry | None = None,
    policy: Policy | None = None,
    cuts: Iterable[int] = (),
    every_ms: int = HOUR_MS,
    from_ms: int | None = None,
    until_ms: int | None = None,
) -> Answer:
    """Replay lines, fed in pieces cut at these places."""
    answer = Answer([], [])
    replay = Replay(
        ReplayPlan(
            registry=keys or registry(),
            policy=policy or Policy(),
            every_ms=every_ms,
            from_ms=from_ms,
            until_ms=until_ms,
        ),
        mapping=compile_mapping("canonical", pepper=b""),
        detector=None,
        on_decision=answer.decisions.append,
        on_alert=answer.alerts.append,
    )
    edges = [0, *sorted(cuts), len(lines)]
    replay.run([list(lines[a:b]) for a, b in zip(edges, edges[1:], strict=False) if b > a])
    return answer
