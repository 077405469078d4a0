"""Outbox bodies -> Block Kit. Pure: the same body gives the same message; text from logs is made harmless here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from slack_sdk.models.blocks import Block

from monitor.adapters.slack.blocks import (
    MAX_BUTTON_VALUE,
    MAX_TEXT,
    Blocks,
    buttons,
    context,
    cut,
    divider,
    finished,
    header,
    plain,
    section,
)
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.instants import parse_rfc3339
from monitor.core.untrusted import escaped_for_slack, for_slack, harmless
from monitor.notify.bodies import What
from monitor.notify.guides import BY_CAUSE, BY_KIND, guide_of

ACKNOWLEDGE, SNOOZE, EVIDENCE = "rollwatch_acknowledge", "rollwatch_snooze", "rollwatch_evidence"
MAX_SOURCES = 10
_MAX_BLOCKERS = 5
_BAR = 20
_FULL, _EMPTY = "\u2588", "\u2591"
_SPARKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_VERDICTS = {
    "GO": ("\U0001f7e2", "may be retired now"),
    "NO_GO": ("\U0001f534", "must not be retired yet"),
    "UNKNOWN": ("\U0001f7e1", "cannot be judged: evidence is missing"),
}
_OVER = {
    "retired": ("\U0001f3c1", "retired", "was retired; its late callers are still watched for"),
    "completed": ("\U0001f3c1", "completed", "was retired, and nobody missed it"),
    "rolled_back": ("\u21a9\ufe0f", "rolled back", "stays in use"),
}
_CAUSE_NAMES = {AlertKind.STRAGGLER: "Mark", AlertKind.DEADLINE: "Mark", AlertKind.DECISION_CHANGED: "Change"}
_SEVERITIES = {"info": "\u2139\ufe0f", "warning": "\u26a0\ufe0f", "critical": "\U0001f6a8"}
_WHY = {"corrected": "Cause corrected", "escalated": "Worse", "repeat": "Reminder", "resolved": "Resolved"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A message for Slack: `text` is what notifications and old clients show."""

    text: str
    blocks: Blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Renders every kind of body. Without `page_url` or `runbook_url` no link of that sort is written."""

    page_url: str | None = None
    runbook_url: str | None = None
    interactive: bool = False

    def render(self, body: Mapping[str, Json]) -> Rendered:
        """Return the message of a body; an unknown kind raises `ValueError`."""
        match What(str(body["what"])):
            case What.OVERVIEW:
                return self._overview(body)
            case What.ALERT:
                return self._alert(body)
            case What.REMINDER:
                return self._reminder(body)
            case What.CHART:
                raise ValueError("a chart is no message: it is uploaded")

    # --- one message per rollover, kept up to date

    def _overview(self, body: Mapping[str, Json]) -> Rendered:
        decision = _object(body["decision"])
        verdict = str(decision["decision"])
        state = str(body["state"])
        mark, meaning = _VERDICTS[verdict]
        said = f"*{verdict}*: v{decision['from_version']} {meaning}. State: {for_slack(state)}"
        if state in _OVER:
            mark, verdict, meaning = _OVER[state]
            said = f"*{verdict}*: v{decision['from_version']} {meaning}."
        key, rollover = str(decision["key"]), str(decision["rollover"])
        moving = f"v{decision['from_version']} \u2192 v{decision['to_version']}"
        eta, progress = _object(decision["eta"]), _object(decision["progress"])
        fields = [
            f"*Callers moved*\n{_progress(progress)}",
            f"*Requests on the new version*\n{_share(progress.get('requests_moved_share'))}",
            f"*Earliest GO*\n{_eta(eta)}",
            f"*Deadline*\n{when(body.get('deadline'))}",
        ]
        blocks: list[Block] = [
            header(f"{mark} {harmless(key)} {moving}"),
            section(said, fields),
        ]
        if drained := _drain(body.get("drain")):
            blocks.append(section(drained))
        blocks += self._blockers(_list(decision["blockers"]))
        small = f"evaluated {when(decision['evaluated_at'])} \u00b7 rollover {for_slack(rollover)}"
        if self.page_url:
            small += f" \u00b7 <{self.page_url.rstrip('/')}/rollovers/{quote(rollover, safe='')}|status page>"
        blocks.append(context(small))
        if self.interactive:
            blocks.append(buttons(f"overview:{rollover}", [(EVIDENCE, "Show evidence", f"rollover:{rollover}")]))
        text = f"{mark} {escaped_for_slack(harmless(key))} {moving}: {verdict}"
        return Rendered(text=cut(text, MAX_TEXT), blocks=finished(blocks))

    @staticmethod
    def _blockers(blockers: Sequence[Json]) -> list[Block]:
        if not blockers:
            return []
        lines = [_blocker(_object(each)) for each in blockers[:_MAX_BLOCKERS]]
        if len(blockers) > _MAX_BLOCKERS:
            lines.append(f"\u2026 and {len(blockers) - _MAX_BLOCKERS} more")
        return [divider(), section("*What holds it*\n" + "\n".join(lines))]

    # --- one alert

    def _alert(self, body: Mapping[str, Json]) -> Rendered:
        alert = alert_of(_object(body["alert"]))
        why = str(body["why"])
        guide = guide_of(alert)
        mark = "\u2705" if alert.kind is AlertKind.RESOLVED else _SEVERITIES[alert.severity.value]
        about = _about(alert)
        title = f"{_WHY[why]}: {guide.title}" if why in _WHY else guide.title
        if alert.kind is AlertKind.RESOLVED and about is not AlertKind.RESOLVED:
            title = f"Resolved: {BY_CAUSE.get(alert.cause or '', BY_KIND[about]).title}"
        facts = [("Key", alert.key), ("Version", None if alert.version is None else f"v{alert.version}")]
        facts += [(_CAUSE_NAMES.get(about, "Cause"), alert.cause), ("Gateway", alert.gateway), ("Region", alert.region)]
        facts += [("Client", alert.client), ("Source", alert.source)]
        blocks: list[Block] = [
            section(f"{mark} *{title}*", [f"*{name}*\n{for_slack(value)}" for name, value in facts if value]),
            plain(harmless(alert.text, limit=1_200)),
        ]
        if alert.kind is not AlertKind.RESOLVED:
            blocks.append(section(f"*What to do:* {guide.likely_fix}"))
        blocks.append(context(f"{when(alert.as_json()['at'])} \u00b7 {self._runbook(guide.runbook)}"))
        if alert.severity is not AlertSeverity.INFO:
            blocks += self._answers(alert.episode)
        text = f"{mark} {title}: {escaped_for_slack(harmless(alert.text, limit=300))}"
        return Rendered(text=cut(text, MAX_TEXT), blocks=finished(blocks))

    # --- one reminder to an owner

    def _reminder(self, body: Mapping[str, Json]) -> Rendered:
        alerts = [alert_of(_object(each)) for each in _list(body["alerts"])]
        over = {str(each) for each in _list(body["resolved"])}
        left = [alert for alert in alerts if alert.episode not in over]
        keys = sorted({f"{alert.key} v{alert.version}" for alert in alerts})
        named = ", ".join(for_slack(each) for each in keys[:MAX_SOURCES])
        many = "caller" if len(left) == 1 else "callers"
        title = f"\u23f3 {len(left)} {many} still on an old version"
        text = f"\u23f3 {len(left)} {many} still on the old version of {named}.{_soonest(left)}"
        if not left:
            title = "\u2705 Nobody of these is on an old version any more"
            text = f"{title}: {named}"
        blocks: list[Block] = [header(title), section(text)]
        blocks += [section(_straggler(alert, over=alert.episode in over)) for alert in alerts[:MAX_SOURCES]]
        if len(alerts) > MAX_SOURCES:
            blocks.append(context(f"\u2026 and {len(alerts) - MAX_SOURCES} more; see the status page."))
        if left:
            guide = guide_of(left[0])
            blocks.append(section(f"*What to do:* {guide.likely_fix}"))
            how = "Press *Acknowledge*" if self.interactive else "Acknowledge with `rollwatch alerts ack EPISODE`"
            blocks.append(context(f"{how} to hear of it again only when it gets worse. {self._runbook(guide.runbook)}"))
            together = "\n".join(alert.episode for alert in left)
            blocks += self._answers(together if len(together) <= MAX_BUTTON_VALUE else str(body["handle"]))
        return Rendered(text=cut(text, MAX_TEXT), blocks=finished(blocks))

    def _answers(self, episodes: str) -> list[Block]:
        if not self.interactive:
            return []
        return [
            buttons(
                f"episode:{episodes}",
                [
                    (ACKNOWLEDGE, "Acknowledge", episodes),
                    (SNOOZE, "Snooze 4 h", episodes),
                    (EVIDENCE, "Show evidence", episodes),
                ],
            )
        ]

    def _runbook(self, name: str) -> str:
        if self.runbook_url is None:
            return f"runbook `docs/runbooks/{name}.md`"
        return f"<{self.runbook_url.rstrip('/')}/{name}.md|runbook>"


def alert_of(given: Mapping[str, Any]) -> Alert:
    """Read an alert back from its JSON."""
    return Alert(
        at_ms=parse_rfc3339(given["at"]),
        kind=AlertKind(given["kind"]),
        episode=given["episode"],
        severity=AlertSeverity(given["severity"]),
        text=given["text"],
        **{
            name: given[name]
            for name in ("rollover", "key", "version", "gateway", "region", "client", "source", "cause", "evidence")
        },
    )


def _about(alert: Alert) -> AlertKind:
    """Return the kind that an end ends, where it says so, else the alert's own."""
    ended = alert.evidence.get("kind")
    known = alert.kind is AlertKind.RESOLVED and ended in set(AlertKind)
    return AlertKind(str(ended)) if known else alert.kind


def when(moment: Json) -> str:
    """Return an RFC 3339 time as people write it, or a dash."""
    return f"{str(moment)[:16].replace('T', ' ')} UTC" if moment else "\u2013"


def _progress(progress: Mapping[str, Json]) -> str:
    callers, cleared = _number(progress.get("callers")), _number(progress.get("callers_cleared"))
    if not callers:
        return "no callers known"
    full = int(_BAR * cleared / callers)
    bar = _FULL * full + _EMPTY * (_BAR - full)
    return f"`{bar}` {cleared:.0f} of {callers:.0f}"


def _share(share: Json) -> str:
    return "\u2013" if share is None else f"{100 * _number(share):.1f} %"


def _eta(eta: Mapping[str, Json]) -> str:
    limited = eta.get("limited_by")
    by = f"\nlimited by {for_slack(str(limited))}" if limited else ""
    return f"{when(eta.get('earliest_go'))} ({eta['state']}){by}"


def _blocker(blocker: Mapping[str, Json]) -> str:
    caller = blocker.get("caller")
    who = ""
    if isinstance(caller, Mapping):
        who = f"{for_slack(_text(caller.get('client')))} / {for_slack(_text(caller.get('source')))}: "
    summary = escaped_for_slack(harmless(_text(blocker.get("summary")), limit=300))
    clear = escaped_for_slack(harmless(_text(blocker.get("what_would_clear_it")), limit=300))
    return f"\u2022 {blocker['clause']} {who}{summary} _Clears by:_ {clear}"


def _soonest(alerts: Sequence[Alert]) -> str:
    deadlines = sorted(str(found) for alert in alerts if (found := alert.evidence.get("deadline")))
    return f" Deadline: {when(deadlines[0])}." if deadlines else ""


def _straggler(alert: Alert, *, over: bool) -> str:
    evidence = alert.evidence
    head = f"*{for_slack(alert.client)} / {for_slack(alert.source)}* on {for_slack(alert.key)} v{alert.version}"
    if over:
        return f"\u2705 {head}: no longer"
    daily = evidence.get("requests_per_day")
    rate = f" \u00b7 {_number(daily):.1f} requests a day" if daily is not None else ""
    clear = evidence.get("what_would_clear_it")
    how = f"\n_Clears by:_ {escaped_for_slack(harmless(str(clear), limit=300))}" if clear else ""
    seen, due = when(evidence.get("last_use")), when(evidence.get("next_expected"))
    return (
        f"{head}\nlast use {seen} \u00b7 next expected {due}{rate}{how}\nepisode {for_slack(alert.episode, limit=300)}"
    )


def _drain(drain: Json) -> str:
    days = [_object(each) for each in drain] if isinstance(drain, list) else []
    if not days:
        return ""
    rows = []
    for name in ("old", "new"):
        values = [_number(day.get(name)) for day in days]
        most = max(values) or 1.0
        sparks = "".join(
            _SPARKS[min(int(value / most * (len(_SPARKS) - 1) + 0.5), len(_SPARKS) - 1)] for value in values
        )
        rows.append(f"{name}  {sparks}  {values[-1]:,.0f} on the last day")
    return "*Requests a day*\n```" + "\n".join(rows) + "```"


def _object(value: Json) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
