"""From a tick's alerts to outbox rows, in the transaction of what caused them; each yes and no is kept with its why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from monitor.core.alerts import Alert, AlertKind
from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339, rfc3339
from monitor.core.registry import Registry
from monitor.notify import bodies
from monitor.notify.settings import Digest, NotifySettings, urgent
from monitor.notify.telling import TELLS, Episode, Why, after, why
from monitor.ports import Message, Snapshot

OVERVIEW_EVERY_MS = 5 * MINUTE_MS
"""A parent message is brought up to date no more often, unless the verdict changed."""
OVERVIEW_AT_LEAST_EVERY_MS = 6 * HOUR_MS
CHART_EVERY_MS = 7 * DAY_MS
_LEAST_DAYS_DRAWN = 4
"""A picture cannot be edited in place, so it comes seldom; the same as text stands in the parent message."""
_EPISODE = "notify:episode:"
_OVER = frozenset({"completed", "rolled_back"})
"""Nobody is told of a rollover that was over before anybody heard of it."""
_PENDING = "notify:pending:"
_OVERVIEW = "notify:overview:"
SAID = "notify:said:"
"""Prefix of the memos that hold the latest reminders of each channel, as they stand there."""
_MOST_SAID = 6


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
            if alert.kind is AlertKind.STRAGGLER and episode is not None and _waits(snapshot, alert.episode):
                now_known = replace(now_known, level=episode.level)  # nobody ignored what has not left yet
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
            drawn_ms = int(str(memo.get("drawn_ms", 0)))
            draws = len(each.drain) >= _LEAST_DAYS_DRAWN and drawn_ms + CHART_EVERY_MS <= now_ms
            snapshot.put_memo(
                _OVERVIEW + each.rollover,
                {
                    "shown": _digest(_visible(each)),
                    "at_ms": now_ms,
                    "urgent": _urgent(each),
                    "drawn_ms": now_ms if draws else drawn_ms,
                },
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
            if draws:
                _enqueue(
                    snapshot,
                    channel="slack",
                    dedup_key=f"chart:{each.rollover}:{now_ms}",
                    order_key=f"chart:{each.rollover}",  # a picture holds up no alert
                    reason="repeat" if drawn_ms else "first",
                    body=bodies.chart(
                        channel=channel, rollover=each.rollover, key=str(each.decision["key"]), drain=each.drain
                    ),
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
            rollovers = {str(each["rollover"]) for each in open_ones}
            body = bodies.reminder(
                channel=channel,
                audience=audience,
                alerts=open_ones,
                at=rfc3339(now_ms),
                level=level,
                # In the rollover's own channel it belongs into the thread, where it is about that rollover alone.
                thread_of=bodies.rollover_handle(*rollovers) if pending.get("home") and len(rollovers) == 1 else None,
            )
            earlier = said_in(snapshot.memo(SAID + channel) or {})[-(_MOST_SAID - 1) :]
            snapshot.put_memo(SAID + channel, {"said": [*earlier, body]}, now_ms=now_ms)
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
                    "home": channel == ladder[1],
                    "audience": (key.owner.team if key is not None and channel == owner else None) or channel,
                    "level": max(level, int(str(pending.get("level", 0)))),
                    "due_ms": min(due_ms, earlier),
                    "alerts": [*kept, alert.as_json()],
                },
                now_ms=now_ms,
            )


def _waits(snapshot: Snapshot, episode: str) -> bool:
    """Return whether a reminder of that episode waits for its hour."""
    return any(episode in episodes_of(pending) for pending in snapshot.memos(_PENDING).values())


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


def said_in(memo: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """Return the bodies of the latest reminders of a channel, as they stand there."""
    said = memo.get("said")
    return [each for each in said if isinstance(each, Mapping)] if isinstance(said, list) else []


def episodes_of(body: Mapping[str, Json]) -> list[str]:
    """Return the episodes that a reminder names."""
    alerts = body.get("alerts")
    return [str(each["episode"]) for each in alerts if isinstance(each, Mapping)] if isinstance(alerts, list) else []


def _strike_out(snapshot: Snapshot, over: set[str], *, now_ms: int) -> None:
    """Edit the reminders that name these episodes: they are over."""
    for name, memo in snapshot.memos(SAID).items():
        said: list[Json] = [_struck(snapshot, each, over, now_ms=now_ms) for each in said_in(memo)]
        if said != said_in(memo):
            snapshot.put_memo(name, {"said": said}, now_ms=now_ms)


def _struck(snapshot: Snapshot, body: Mapping[str, Json], over: set[str], *, now_ms: int) -> Mapping[str, Json]:
    struck = body.get("resolved")
    before = [str(each) for each in struck] if isinstance(struck, list) else []
    fresh = [each for each in episodes_of(body) if each in over and each not in before]
    if not fresh:
        return body
    edited: dict[str, Json] = {**body, "replaces": True, "resolved": [*before, *fresh]}
    _enqueue(
        snapshot,
        channel="slack",
        dedup_key=f"{body['handle']}:resolved:{now_ms}",
        order_key=f"owner:{body['audience']}",
        reason=Why.RESOLVED.value,
        body=edited,
        now_ms=now_ms,
    )
    return edited


def _is_due(memo: Mapping[str, Json], each: Overview, now_ms: int) -> bool:
    if not memo:
        return each.state not in _OVER
    if memo.get("shown") == _digest(_visible(each)):
        return each.state not in _OVER and int(str(memo["at_ms"])) + OVERVIEW_AT_LEAST_EVERY_MS <= now_ms
    return int(str(memo.get("at_ms", 0))) + OVERVIEW_EVERY_MS <= now_ms or memo.get("urgent") != _urgent(each)


def _urgent(each: Overview) -> str:
    """Return what is shown at once when it changes."""
    return f"{each.decision['decision']} {each.state}"


def _visible(each: Overview) -> Json:
    """Return what a reader acts on, without what moves by itself all the time: that is brought along now and then."""
    blockers, progress, eta = each.decision["blockers"], each.decision["progress"], each.decision["eta"]
    share = progress.get("requests_moved_share") if isinstance(progress, Mapping) else None
    return {
        "decision": each.decision["decision"],
        "blockers": [[one.get("clause"), one.get("caller")] for one in blockers if isinstance(one, Mapping)]
        if isinstance(blockers, list)
        else [],
        "cleared": progress.get("callers_cleared") if isinstance(progress, Mapping) else None,
        "share": round(share, 2) if isinstance(share, float) else share,
        "eta": eta.get("state") if isinstance(eta, Mapping) else None,
        "deadline": each.deadline_ms,
        "state": each.state,
    }


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
