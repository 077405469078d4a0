"""After the retirement: whoever still comes with the old version, by name."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.alerting.callers import CallerView
from monitor.core.alerting.episodes import CallerEpisodes
from monitor.core.alerting.look import Look, Memory, name_of
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339

SETTLED_MS = 26 * HOUR_MS
"""A daily job of a caller that works on the new version has had its turn."""
SILENT_MS = 7 * DAY_MS
ACCEPTED = "accepted"
REJECTED = "rejected"


def post_retirement_use(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Tell of each use of the retired version after its retirement, and of each rejected attempt of a known caller.

    Times are event times: what arrives late from before the retirement is none. Known is who was ever accepted on any
    version of the key; an attempt without a client's name counts where its source is known. One episode a caller,
    corrected once if attempts turn into accepted uses (then the version is not off everywhere); it ends when the
    caller works on the new version and has been silent on the retired one for `SETTLED_MS`, or silent for `SILENT_MS`.
    """
    retired_at = look.rollover.retired_at_ms
    if retired_at is None or not look.retired:
        return [], memory
    episodes = CallerEpisodes(AlertKind.POST_RETIREMENT_USE, memory, look)
    alerts = list(_ended(episodes, look))
    known_sources = None
    for view in look.callers.changed():
        before = episodes.find(view.id)
        used, tried = view.old.last_accepted_ms, view.old.last_rejected_ms
        accepted = used is not None and used > retired_at
        rejected = tried is not None and tried > retired_at
        if not accepted and rejected and not view.accepted_ever:
            if view.client is not None or view.source is None:
                continue
            known_sources = look.callers.sources_known() if known_sources is None else known_sources
            if view.source not in known_sources:
                continue
        if not accepted and not rejected:
            continue
        last = max(each for each in (used, tried) if each is not None)
        cause = ACCEPTED if accepted else REJECTED
        if before is not None and (before.cause in (cause, ACCEPTED) if before.is_open else last <= before.used_ms):
            continue
        alerts.append(
            episodes.tell(
                view.id,
                severity=AlertSeverity.CRITICAL,
                text=_text(look, view, last, accepted=accepted),
                cause=cause,
                used_ms=last,
                evidence={"retired_at": rfc3339(retired_at), "last_attempt": rfc3339(last), "outcome": cause},
            )
        )
    return alerts, episodes.memory()


def _ended(episodes: CallerEpisodes, look: Look) -> Iterator[Alert]:
    for caller, episode in episodes.ongoing():
        view = look.callers.find(caller)
        last = episode.used_ms if view is None else view.last_old_attempt_ms or episode.used_ms
        works = None if view is None else view.new.last_served_ms
        silent_ms = look.now_ms - last
        if silent_ms >= SILENT_MS:
            yield episodes.close(caller, why=f"silent since {rfc3339(last)}", used_ms=last)
        elif silent_ms >= SETTLED_MS and works is not None and works > last:
            yield episodes.close(caller, why="works on the new version now", used_ms=last)


def _text(look: Look, view: CallerView, last: int, *, accepted: bool) -> str:
    rollover = look.rollover
    what = "was accepted: it is not off everywhere" if accepted else f"is rejected; give it v{rollover.to_version}"
    return (
        f"{name_of(view.id)} came with the retired v{rollover.from_version} of {rollover.key} at {rfc3339(last)} "
        f"and {what}."
    )
