"""Runs many simulated histories through `rollwatch replay`'s engine and tries to embarrass the gate.

    python benchmarks/gate_histories.py --count 300 [--kind weekly] [--seed 1000] [--detector]

Prints, by kind and in total: false GOs (a GO while an unmoved caller, seen before, uses the old version afterwards), due
GOs never given and how late the others came (against `gate_oracle`, an independent slow reading of the policy), the
share of UNKNOWN on healthy histories, precision and recall of the blockers, alerts missing and wrong.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import Pool

from gate_oracle import Oracle, Who

from monitor.core.alerts import Alert, AlertKind
from monitor.core.decision import Decision, Verdict
from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339
from monitor.core.mapping import compile_mapping
from monitor.core.policy import Policy
from monitor.core.registry_file import parse_registry
from monitor.replay.replayer import Replay, ReplayPlan
from monitor.simulate import KINDS, Story, tell
from monitor.simulate.cast import ROLLOVER

_LOOK_EVERY = 6


@dataclass
class Score:
    """What one history, or many, came to."""

    histories: int = 0
    decisions: int = 0
    false_go: int = 0
    due: int = 0
    never: int = 0
    waits: list[float] = field(default_factory=list)
    early: int = 0
    healthy_decisions: int = 0
    healthy_unknown: int = 0
    named: int = 0
    named_right: int = 0
    holding: int = 0
    expected: int = 0
    missing: int = 0
    sent: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Add another's figures."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def judge(story: Story, decisions: list[Decision], alerts: list[Alert]) -> Score:
    """Return the score of one history."""
    score = Score(histories=1, decisions=len(decisions))
    oracle = Oracle(story)
    uses = {
        # who is refused and goes on trying has not moved either
        who: sorted(track.ts + (oracle.old_rejected[who].ts if who in oracle.old_rejected else []))
        for who, track in oracle.old_use.items()
    }
    first_go = next((each.evaluated_at_ms for each in decisions if each.verdict is Verdict.GO), None)
    broken = Counter[tuple[str | None, str | None]]()
    first_due = None
    readings = {}
    for index, decision in enumerate(decisions):
        now = decision.evaluated_at_ms
        reading = None
        fresh_go = decision.verdict is Verdict.GO and (not index or decisions[index - 1].verdict is not Verdict.GO)
        if first_due is None or index % _LOOK_EVERY == 0 or fresh_go:
            reading = readings[now] = oracle.read(now)
        if (
            reading is not None
            and reading.go
            and first_due is None
            and (story.beyond_design or not _back(uses, now, oracle))
        ):
            first_due = now  # by the policy's letter, and it breaks nobody
        if decision.verdict is Verdict.GO:
            if reading is not None and not reading.go:
                score.early += 1
                if score.early == 1:
                    score.notes.append(f"GO at {rfc3339(now)} where the oracle says {sorted(reading.why)}")
            broken.update(_back(uses, now, oracle))
        if story.healthy and reading is not None and not reading.cadence_only and "C7h" not in reading.why:
            score.healthy_decisions += 1
            if decision.verdict is Verdict.UNKNOWN:
                score.healthy_unknown += 1
                if score.healthy_unknown == 1:
                    score.notes.append(f"UNKNOWN at {rfc3339(now)}: {decision.blockers[0].summary}")
        if reading is not None and index % _LOOK_EVERY == 0:
            named = {
                (b.caller.client, b.caller.source)
                for b in decision.blockers
                if b.caller is not None and b.clause == "C7"
            }
            score.named += len(named)
            score.named_right += len(named & reading.holders)
            score.holding += len(reading.holders)
            if named != reading.holders and not any(note.startswith("holders") for note in score.notes):
                score.notes.append(
                    f"holders at {rfc3339(now)}: gate only {sorted(map(str, named - reading.holders))}, "
                    f"oracle only {sorted(map(str, reading.holders - named))}"
                )
    if broken and not story.beyond_design:
        score.false_go = 1
        score.notes.append(f"FALSE GO at {rfc3339(first_go or 0)}: {dict(broken)}")
    _judge_wait(decisions, first_due, score)
    _judge_alerts(story, decisions, alerts, oracle, readings, score)
    return score


def _back(uses: dict[Who, list[int]], now: int, oracle: Oracle) -> list[Who]:
    """Return the callers, seen by now, that a retirement now would break."""
    window = now - oracle.policy.quiet_window_ms
    return [who for who, times in uses.items() if times[-1] > now >= times[0] and not oracle._exempt(who, now, window)]


def _judge_wait(decisions: list[Decision], first_due: int | None, score: Score) -> None:
    if first_due is not None:
        score.due = 1
        given = next((d.evaluated_at_ms for d in decisions if d.verdict is Verdict.GO), None)
        if given is None:
            score.never = 1
            last = decisions[-1]
            score.notes.append(f"never GO, due {rfc3339(first_due)}; {[b.summary[:120] for b in last.blockers[:2]]}")
        else:
            score.waits.append((given - first_due) / HOUR_MS)
            if given - first_due > 4 * HOUR_MS:
                held = next(d for d in decisions if d.evaluated_at_ms >= first_due)
                score.notes.append(
                    f"late by {(given - first_due) / HOUR_MS:.0f} h, due {rfc3339(first_due)}: "
                    f"{[b.summary[:160] for b in held.blockers[:2]]}"
                )


def _judge_alerts(story, decisions, alerts: list[Alert], oracle: Oracle, readings, score: Score) -> None:  # type: ignore[no-untyped-def]
    for due in story.expected:
        score.expected += 1
        if not any(
            a.kind is due.kind
            and due.from_ms <= a.at_ms <= due.until_ms
            and due.client in (None, a.client)
            and due.source in (None, a.source)
            and due.gateway in (None, a.gateway)
            for a in alerts
        ):
            score.missing += 1
            score.notes.append(
                f"MISSING {due.kind.value} {due.client}/{due.source} {due.gateway or ''} in "
                f"[{rfc3339(due.from_ms)}, {rfc3339(due.until_ms)}]"
            )
    for alert in alerts:
        if alert.kind is AlertKind.RESOLVED:
            continue
        score.sent += 1
        why = _wrong(alert, decisions, oracle, readings)
        if why:
            score.wrong += 1
            score.notes.append(
                f"WRONG {alert.kind.value} at {rfc3339(alert.at_ms)} {alert.client}/{alert.source}: {why}"
            )


def _wrong(alert: Alert, decisions: list[Decision], oracle: Oracle, readings) -> str | None:  # type: ignore[no-untyped-def]  # noqa: PLR0911
    now, who = alert.at_ms, (alert.client, alert.source)
    old = sorted(oracle.old_use[who].ts) if who in oracle.old_use else []
    new = sorted(oracle.new_served[who].ts) if who in oracle.new_served else []
    match alert.kind:
        case AlertKind.STRAGGLER:
            if not old or (old[-1] < now and any(old[-1] < at <= now for at in new)):
                return "it had moved for good"
        case AlertKind.NEW_ADOPTER:
            if not old or old[0] < oracle.start or old[0] > now:
                return "it is not new"
        case AlertKind.FLIP_FLOP:
            if not any(any(a < b <= now for b in old) for a in new[:1]):
                return "it never came back"
        case AlertKind.SUSPECT:
            if not oracle.clients or alert.client in oracle.clients:
                return "it may hold the key"
        case AlertKind.TELEMETRY:
            if not oracle.read(now).why & {"C3", "C4", "C5", "C9c"}:
                return "telemetry is whole"
        case AlertKind.DEADLINE | AlertKind.DECISION_CHANGED:
            at = next(d for d in decisions if d.evaluated_at_ms == now and d.rollover == alert.rollover)
            if alert.kind is AlertKind.DEADLINE and at.verdict is Verdict.GO:
                return "the gate says GO"
        case AlertKind.POST_RETIREMENT_USE:
            tried = [*old, *(oracle.old_rejected[who].ts if who in oracle.old_rejected else [])]
            if not any(at <= now for at in tried):
                return "nobody came"
        case AlertKind.FAILED_ROLLOVER | AlertKind.FAILURE_SPIKE:
            failed = [
                at for each in (oracle.old_rejected, oracle.new_rejected) for track in each.values() for at in track.ts
            ]
            if not any(now - DAY_MS <= at <= now for at in failed):
                return "nothing failed"
    return None


def run(story: Story, *, detector: bool) -> tuple[list[Decision], list[Alert]]:
    """Replay one history."""
    if detector:
        from monitor.adapters.detector import RolloverDetector
    registry = parse_registry(json.dumps(story.registry), name=story.kind)
    decisions: list[Decision] = []
    alerts: list[Alert] = []
    replay = Replay(
        ReplayPlan(registry=registry, policy=Policy(), until_ms=story.end_ms),
        mapping=compile_mapping("canonical", pepper=b""),
        detector=RolloverDetector() if detector else None,
        on_decision=decisions.append,
        on_alert=alerts.append,
    )
    replay.run(_chunks(story.lines()))
    return [each for each in decisions if each.rollover == ROLLOVER], [
        a for a in alerts if a.rollover in (ROLLOVER, None)
    ]


def _chunks(lines: Iterable[bytes], size: int = 2_000) -> Iterable[list[bytes]]:
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _judged(task: tuple[str, int, bool]) -> tuple[str, int, Score]:
    kind, seed, detector = task
    story = tell(kind, seed)
    return kind, seed, judge(story, *run(story, detector=detector))


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--detector", action="store_true")
    args = parser.parse_args()
    kinds = args.kind or list(KINDS)
    by_kind: dict[str, Score] = defaultdict(Score)
    total = Score()
    began = time.monotonic()
    tasks = [(kinds[index % len(kinds)], args.seed + index // len(kinds), args.detector) for index in range(args.count)]
    with Pool(args.jobs) as pool:
        for kind, seed, score in pool.imap(_judged, tasks):
            for note in score.notes:
                print(f"  {kind}#{seed}: {note}", flush=True)
            by_kind[kind].add(score)
            total.add(score)
    print(f"\n{total.histories} histories, {total.decisions} decisions in {time.monotonic() - began:.0f} s")
    head = f"{'kind':22}{'false':>6}{'early':>6}{'due':>5}{'never':>6}{'wait h':>7}{'max':>6}{'unkn':>6}{'prec':>6}{'rec':>6}{'miss':>9}{'wrong':>9}"
    print(head)
    for name, score in [*sorted(by_kind.items()), ("total", total)]:
        waits = score.waits or [0.0]
        print(
            f"{name:22}{score.false_go:6}{score.early:6}{score.due:5}{score.never:6}{statistics.median(waits):7.1f}"
            f"{max(waits):6.0f}{_share(score.healthy_unknown, score.healthy_decisions):6.1%}"
            f"{_share(score.named_right, score.named, 1):6.3f}{_share(score.named_right, score.holding, 1):6.3f}"
            f"{score.missing:4}/{score.expected:<4}{score.wrong:4}/{score.sent:<4}"
        )
    sys.exit(1 if total.false_go else 0)


def _share(part: int, whole: int, otherwise: float = 0.0) -> float:
    return part / whole if whole else otherwise


if __name__ == "__main__":
    main()
