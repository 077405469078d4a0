"""From a tick's alerts to outbox rows, in the transaction of what caused them; each yes and no is kept with its why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.alerts import Alert, AlertKind
from monitor.core.decision import Json
from monitor.core.instants import MINUTE_MS, parse_rfc3339, rfc3339
from monitor.core.registry import Registry
from monitor.notify import bodies
from monitor.notify.settings import Digest, NotifySettings, urgent
from monitor.notify.telling import TELLS, Episode, Why, after, why
from monitor.ports import Message, Snapshot

OVERVIEW_EVERY_MS = 5 * MINUTE_MS
"""A parent message is brought up to date no more often, unless the verdict changed."""
_EPISODE = "notify:episode:"
_OVER = frozenset({"completed", "rolled_back"})
"""Nobody is told of a rollover that was over before anybody heard of it."""
_PENDING = "notify:pending:"
_OVERVIEW = "notify:overview:"
SAID = "notify:said:"
"""Prefix of the memos that hold the latest reminder of each channel, as it stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a rollover's parent message shows. `decision` is `Decision.as_json()`; `drain` holds requests by day."""

    rollover: str
    decision: Mapping[str, Json]
    deadline_ms: int | None
    state: str
    drain: Sequence[Mapping[str, Json]] = field(default_factory=tuple)


class Notifier:
    """Plans messages inside of a write snapshot; sends nothing itself."""

    def __init__(self, settings: NotifySettings) -> None:
        """Keep where messages go."""
        self._settings = settings

    def tell(self, snapshot: Snapshot, alerts: Iterable[Alert], registry: Registry, *, now_ms: int) -> None:
        """Decide on each alert, write down why, and enqueue what is to be told."""
        over: set[str] = set()
        for alert in alerts:
            kept = snapshot.memo(_EPISODE + alert.episode)
            episode = Episode.from_json(kept) if kept else None
            route = self._settings.route(alert, registry)
            reason = why(alert, episode, muted=route is not None and route.mute)
            snapshot.audit(
                "alert",
                rollover=alert.rollover,
                body={"alert": alert.as_json(), "notified": reason in TELLS, "reason": reason.value},
                at_ms=alert.at_ms,
            )
            if reason not in TELLS:
                continue
            now_known = after(alert, episode, reason)
            snapshot.put_memo(_EPISODE + alert.episode, now_known.as_json(), now_ms=now_ms)
            self._copies(snapshot, alert, reason, now_ms=now_ms)
            if self._settings.slack:
                if alert.kind is AlertKind.STRAGGLER:
                    self._remember(snapshot, alert, now_known.level, registry, now_ms=now_ms)
                elif now_known.kind == AlertKind.STRAGGLER.value:
                    over.add(alert.episode)
                else:
                    self._slack(snapshot, alert, reason, registry, now_ms=now_ms)
        if over:
            _strike_out(snapshot, over, now_ms=now_ms)

    def due(self, snapshot: Snapshot, overviews: Iterable[Overview], *, now_ms: int) -> list[Overview]:
        """Return those whose parent message shows something else by now, and may be edited again."""
        if not self._settings.slack:
            return []
        memos = snapshot.memos(_OVERVIEW)
        return [each for each in overviews if _is_due(memos.get(_OVERVIEW + each.rollover) or {}, each, now_ms)]

    def show(self, snapshot: Snapshot, overviews: Iterable[Overview], registry: Registry, *, now_ms: int) -> None:
        """Bring these parent messages up to date."""
        for each in overviews:
            channel = self._settings.rollover_channel(each.rollover, registry)
            if channel is None:
                continue
            body = bodies.overview(
                channel=channel,
                decision=each.decision,
                deadline=None if each.deadline_ms is None else rfc3339(each.deadline_ms),
                state=each.state,
                drain=each.drain,
            )
            memo = snapshot.memo(_OVERVIEW + each.rollover) or {}
            snapshot.put_memo(
                _OVERVIEW + each.rollover,
                {"shown": _digest(_visible(each)), "at_ms": now_ms, "urgent": _urgent(each)},
                now_ms=now_ms,
            )
            _enqueue(
                snapshot,
                channel="slack",
                dedup_key=f"{body['handle']}:{now_ms}",
                order_key=each.rollover,
                reason="repeat" if memo else "first",
                body=body,
                now_ms=now_ms,
            )

    def flush(self, snapshot: Snapshot, *, now_ms: int) -> None:
        """Send reminders whose time has come, one message per audience."""
        for name, pending in snapshot.memos(_PENDING).items():
            waiting = pending.get("alerts")
            if not isinstance(waiting, list) or not waiting or int(str(pending["due_ms"])) > now_ms:
                continue
            alerts = [each for each in waiting if isinstance(each, Mapping)]
            channel, audience, level = str(pending["channel"]), str(pending["audience"]), int(str(pending["level"]))
            open_ones = [each for each in alerts if not _ended(snapshot, str(each["episode"]))]
            snapshot.put_memo(name, {}, now_ms=now_ms)
            if not open_ones:
                continue  # they moved while the reminder waited for the morning: nobody need know
            body = bodies.reminder(
                channel=channel, audience=audience, alerts=open_ones, at=rfc3339(now_ms), level=level
            )
            snapshot.put_memo(SAID + channel, body, now_ms=now_ms)
            _enqueue(
                snapshot,
                channel="slack",
                dedup_key=str(body["handle"]),
                order_key=f"owner:{audience}",
                reason="first" if level == 0 else "repeat",
                body=body,
                now_ms=now_ms,
            )

    def acknowledge(self, snapshot: Snapshot, episode: str, *, by: str, now_ms: int) -> bool:
        """Hold back reminders of an episode until it gets worse; `False` where nothing of that name was told."""
        return self._change(snapshot, episode, {"acknowledged_by": by}, "alert.acknowledged", by=by, now_ms=now_ms)

    def snooze(self, snapshot: Snapshot, episode: str, *, by: str, until_ms: int, now_ms: int) -> bool:
        """Hold back all but the end of an episode until then; `False` where nothing of that name was told."""
        return self._change(snapshot, episode, {"snoozed_until_ms": until_ms}, "alert.snoozed", by=by, now_ms=now_ms)

    def _change(
        self, snapshot: Snapshot, episode: str, change: Mapping[str, Json], kind: str, *, by: str, now_ms: int
    ) -> bool:
        kept = snapshot.memo(_EPISODE + episode)
        if not kept:
            return False
        snapshot.put_memo(_EPISODE + episode, {**kept, **change}, now_ms=now_ms)
        snapshot.audit(kind, rollover=None, body={"episode": episode, "by": by, **change}, at_ms=now_ms)
        return True

    def _copies(self, snapshot: Snapshot, alert: Alert, reason: Why, *, now_ms: int) -> None:
        for sender in self._settings.senders:
            _enqueue(
                snapshot,
                channel=sender,
                dedup_key=_key(sender, alert, reason),
                order_key=alert.rollover or alert.key or "rollwatch",
                reason=reason.value,
                body=bodies.alert(channel=sender, told=alert, why=reason.value, thread_of=None),
                now_ms=now_ms,
            )

    def _slack(self, snapshot: Snapshot, alert: Alert, reason: Why, registry: Registry, *, now_ms: int) -> None:
        """Put the alert into its rollover's thread, and beside it where a route or its kind sends it."""
        home = self._settings.rollover_channel(alert.rollover, registry)
        route = self._settings.route(alert, registry)
        elsewhere = route.channel if route is not None else None
        if alert.kind is AlertKind.SUSPECT or _about(snapshot, alert) == AlertKind.SUSPECT.value:
            elsewhere = elsewhere or self._settings.security_channel
        targets = [(home, alert.rollover is not None)] if home is not None else []
        if elsewhere is not None and elsewhere != home:
            targets.append((elsewhere, False))
        for channel, threaded in targets:
            parent = bodies.rollover_handle(alert.rollover) if threaded and alert.rollover else None
            _enqueue(
                snapshot,
                channel="slack",
                dedup_key=f"{_key('slack', alert, reason)}@{channel}",
                order_key=alert.rollover or alert.key or "rollwatch",
                reason=reason.value,
                body=bodies.alert(channel=channel, told=alert, why=reason.value, thread_of=parent),
                now_ms=now_ms,
            )

    def _remember(self, snapshot: Snapshot, alert: Alert, level: int, registry: Registry, *, now_ms: int) -> None:
        """Gather a straggler's reminder for each audience that hears of it at this level: owner, channel, person."""
        settings = self._settings
        key = registry.key_by_name.get(alert.key or "")
        ladder = settings.ladder(alert, registry)
        owner, audiences = ladder[0], ladder[: level + 1]
        hours = settings.owner_hours(key)
        if urgent(alert):
            due_ms = now_ms
        elif settings.digest is Digest.OFF:
            due_ms = hours.next_open_ms(now_ms)
        else:
            due_ms = hours.next_digest_ms(now_ms, settings.digest)
        deadline_ms = _deadline_ms(alert)
        if deadline_ms is not None and now_ms < deadline_ms <= due_ms:
            due_ms = now_ms  # waiting for the morning would be too late
        for channel in dict.fromkeys(each for each in audiences if each is not None):
            name = f"{_PENDING}{channel}"
            pending = snapshot.memo(name) or {}
            waiting = pending.get("alerts")
            gathered = [each for each in waiting if isinstance(each, Mapping)] if isinstance(waiting, list) else []
            kept = [each for each in gathered if each.get("episode") != alert.episode]
            earlier = int(str(pending["due_ms"])) if gathered else due_ms
            snapshot.put_memo(
                name,
                {
                    "channel": channel,
                    "audience": (key.owner.team if key is not None and channel == owner else None) or channel,
                    "level": max(level, int(str(pending.get("level", 0)))),
                    "due_ms": min(due_ms, earlier),
                    "alerts": [*kept, alert.as_json()],
                },
                now_ms=now_ms,
            )


def _about(snapshot: Snapshot, alert: Alert) -> Json:
    kept = snapshot.memo(_EPISODE + alert.episode)
    return kept.get("kind") if kept else None


def _ended(snapshot: Snapshot, episode: str) -> bool:
    kept = snapshot.memo(_EPISODE + episode)
    return bool(kept and kept.get("ended"))


def _deadline_ms(alert: Alert) -> int | None:
    deadline = alert.evidence.get("deadline")
    return parse_rfc3339(deadline) if isinstance(deadline, str) else None


def _key(sender: str, alert: Alert, reason: Why) -> str:
    return f"{sender}:{alert.episode}:{reason.value}:{alert.at_ms}"


def _strike_out(snapshot: Snapshot, over: set[str], *, now_ms: int) -> None:
    """Edit the reminders that name these episodes: they are over."""
    for name, body in snapshot.memos(SAID).items():
        alerts, struck = body.get("alerts"), body.get("resolved")
        named = {str(each.get("episode")) for each in alerts if isinstance(each, Mapping)} if alerts else set()  # type: ignore[union-attr] # written by `flush`
        if not named & over:
            continue
        before = [str(each) for each in struck] if isinstance(struck, list) else []
        edited: dict[str, Json] = {**body, "replaces": True, "resolved": [*before, *sorted(named & over)]}
        snapshot.put_memo(name, edited, now_ms=now_ms)
        _enqueue(
            snapshot,
            channel="slack",
            dedup_key=f"{body['handle']}:resolved:{now_ms}",
            order_key=f"owner:{body['audience']}",
            reason=Why.RESOLVED.value,
            body=edited,
            now_ms=now_ms,
        )


def _is_due(memo: Mapping[str, Json], each: Overview, now_ms: int) -> bool:
    if memo.get("shown") == _digest(_visible(each)) or (not memo and each.state in _OVER):
        return False
    rested = int(str(memo.get("at_ms", 0))) + OVERVIEW_EVERY_MS <= now_ms
    return rested or memo.get("urgent") != _urgent(each)


def _urgent(each: Overview) -> str:
    """Return what is shown at once when it changes."""
    return f"{each.decision['decision']} {each.state}"


def _visible(each: Overview) -> Json:
    """Return what a reader sees of an overview, without what moves by itself every minute."""
    decision = each.decision
    seen = {name: decision[name] for name in ("decision", "blockers", "progress")}
    eta = decision["eta"]
    state = eta["state"] if isinstance(eta, Mapping) else None
    return {**seen, "eta": state, "deadline": each.deadline_ms, "state": each.state}


def _digest(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _enqueue(
    snapshot: Snapshot,
    *,
    channel: str,
    dedup_key: str,
    order_key: str,
    reason: str,
    body: Mapping[str, Json],
    now_ms: int,
) -> None:
    snapshot.enqueue(
        Message(
            dedup_key=dedup_key,
            channel=channel,
            order_key=order_key,
            reason=reason,
            body=body,
            created_at_ms=now_ms,
        )
    )


__all__ = ["Notifier", "Overview"]
