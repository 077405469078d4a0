"""Answers people who act on an alert: acknowledge, snooze, evidence, status; for Slack, HTTP and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.core.instants import HOUR_MS, rfc3339
from monitor.core.untrusted import for_slack
from monitor.notify.notifier import SAID, Notifier, episodes_of, said_in
from monitor.ports import EvidenceStore, Snapshot

SNOOZE_MS = 4 * HOUR_MS
_MOST_LINES = 15
_ROLLOVER = "rollover:"
_REMINDER = "reminder:"


class AlertDesk:
    """See `monitor.adapters.slack.socket.Desk`: the store's side of it."""

    def __init__(self, *, store: EvidenceStore, notifier: Notifier, now_ms: Callable[[], int]) -> None:
        """Remember whom to ask."""
        self._store = store
        self._notifier = notifier
        self._now_ms = now_ms

    def acknowledge(self, episodes: Sequence[str], *, by: str) -> str:
        """Hold back reminders of these episodes until they get worse."""
        now_ms = self._now_ms()
        with self._store.snapshot(write=True) as snapshot:
            done = [
                self._notifier.acknowledge(snapshot, each, by=by, now_ms=now_ms)
                for each in _expanded(snapshot, episodes)
            ]
        return _counted(done, "Acknowledged", "You hear of it again when it gets worse or ends.")

    def snooze(self, episodes: Sequence[str], *, by: str, for_ms: int = SNOOZE_MS) -> str:
        """Hold back everything but the end."""
        now_ms = self._now_ms()
        until_ms = now_ms + for_ms
        with self._store.snapshot(write=True) as snapshot:
            done = [
                self._notifier.snooze(snapshot, each, by=by, until_ms=until_ms, now_ms=now_ms)
                for each in _expanded(snapshot, episodes)
            ]
        return _counted(done, "Snoozed", f"Until {rfc3339(until_ms)[:16].replace('T', ' ')} UTC.")

    def evidence(self, subjects: Sequence[str]) -> str:
        """Return what is behind these: an episode's numbers, or a rollover's clauses."""
        lines: list[str] = []
        with self._store.snapshot() as snapshot:
            evaluations = snapshot.evaluations()
            told: dict[str, Mapping[str, Any]] = {}
            for row in snapshot.audit_entries(kind="alert", limit=1_000):
                alert = row.body.get("alert")
                if isinstance(alert, Mapping):
                    told.setdefault(str(alert.get("episode")), alert)
            subjects = _expanded(snapshot, subjects)
        for subject in subjects:
            if subject.startswith(_ROLLOVER):
                found = evaluations.get(subject.removeprefix(_ROLLOVER))
                lines += ["not evaluated yet"] if found is None else _clauses(found.body)
            elif subject in told:
                lines += _numbers(told[subject])
            else:
                lines.append(f"nothing is known of {for_slack(subject)}")
        return "\n".join(lines[:_MOST_LINES])

    def status(self, words: Sequence[str]) -> str:
        """Return the verdict of one rollover, or of all."""
        with self._store.snapshot() as snapshot:
            evaluations = snapshot.evaluations()
        if words:
            found = evaluations.get(words[0])
            return f"no rollover {for_slack(words[0])}" if found is None else "\n".join(_clauses(found.body))
        lines = [f"*{each.verdict}* {for_slack(id_)}" for id_, each in sorted(evaluations.items())]
        more = [f"\u2026 and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        return "\n".join(lines[:_MOST_LINES] + more) or "No rollover is known."


def _expanded(snapshot: Snapshot, subjects: Sequence[str]) -> Sequence[str]:
    """Return a reminder's episodes in place of its handle, which stands for more than a button can carry."""
    if not any(each.startswith(_REMINDER) for each in subjects):
        return subjects
    said = {str(body["handle"]): body for memo in snapshot.memos(SAID).values() for body in said_in(memo)}
    return [name for each in subjects for name in (episodes_of(said[each]) if each in said else [each])]


def _counted(done: Sequence[bool], what: str, then: str) -> str:
    known = sum(done)
    return f"{what} {known} of {len(done)}. {then}" if known else "Nothing of that name has been told."


def _clauses(body: Mapping[str, Any]) -> list[str]:
    lines = [f"*{body['decision']}* {for_slack(body['rollover'])}, evaluated {body['evaluated_at']}"]
    return lines + [
        f"{each['id']} *{each['status']}* {for_slack(each['summary'], limit=200)}" for each in body["clauses"]
    ]


def _numbers(alert: Mapping[str, Any]) -> list[str]:
    lines = [f"*{alert['kind']}* {for_slack(alert['text'], limit=400)}"]
    evidence = alert.get("evidence") or {}
    return lines + [f"{for_slack(str(name))}: {for_slack(str(value), limit=200)}" for name, value in evidence.items()]
