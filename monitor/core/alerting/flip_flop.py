"""Flip-flop: a caller of the old version that is back there after a success on the new one."""

from __future__ import annotations

from monitor.core.alerting.episodes import CallerEpisodes
from monitor.core.alerting.look import Look, Memory, name_of
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.instants import MINUTE_MS, format_duration, rfc3339

HANDOVER_MS = 15 * MINUTE_MS
"""Pods of one deployment are replaced one after the other: so long both versions at once are no step back."""


def flip_flop(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Tell, once an episode, that a caller used the old version again `HANDOVER_MS` or more after its first success
    on the new one. The episode ends when the caller is cleared; a later return begins another.
    """  # noqa: D205 - one sentence that needs two lines
    episodes = CallerEpisodes(AlertKind.FLIP_FLOP, memory, look)
    alerts = list(episodes.close_cleared())
    if look.retired:
        return alerts, episodes.memory()
    rollover = look.rollover
    for view in look.callers.changed():
        moved, back, first = view.new.first_served_ms, view.last_old_use_ms, view.old.first_accepted_ms
        if moved is None or back is None or first is None or back < moved + HANDOVER_MS or first >= moved:
            continue  # never moved, never back, or never here before it moved: that is an adopter
        if back < rollover.started_at_ms or look.exempt.covers(view.id):
            continue
        before = episodes.find(view.id)
        if before is not None and (before.is_open or back <= before.used_ms):
            continue
        if look.holders_known and view.id not in look.holders:
            continue  # cleared by the same rules as ever (a suspect, a later version)
        alerts.append(
            episodes.tell(
                view.id,
                severity=AlertSeverity.WARNING,
                text=(
                    f"{name_of(view.id)} is back on v{rollover.from_version} of {rollover.key} (last at "
                    f"{rfc3339(back)}), {format_duration(back - moved)} after its first success on "
                    f"v{rollover.to_version}: a roll-back, or a part of it that never moved."
                ),
                used_ms=back,
                evidence={
                    "first_success_on_new": rfc3339(moved),
                    "last_success_on_new": None
                    if view.new.last_served_ms is None
                    else rfc3339(view.new.last_served_ms),
                    "last_use_of_old": rfc3339(back),
                },
            )
        )
    return alerts, episodes.memory()
