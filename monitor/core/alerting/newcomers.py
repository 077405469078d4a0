"""Callers that came to the old version after the rollover began: new adopters, and suspects."""

from __future__ import annotations

from monitor.core.alerting.callers import CallerView
from monitor.core.alerting.episodes import CallerEpisodes
from monitor.core.alerting.look import Look, Memory, name_of
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, format_duration, rfc3339

LEAST_HISTORY_MS = DAY_MS
"""With less history before the start everybody would look new: nobody is called so then (the gate does the same).

With some days of it a weekly caller may look new; the alert says how much history stands behind it.
"""


def new_adopter(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Tell, once a caller, that someone used the old version for the first time after the rollover began.

    Not of suspects (they have their own alert), nor of callers that are waived or registered noise, nor where the
    history before the start is too short to know who is new.
    """
    episodes = CallerEpisodes(AlertKind.NEW_ADOPTER, memory, look)
    alerts = list(episodes.close_cleared())
    rollover = look.rollover
    began = look.history_start_ms
    if not look.retired and began is not None and began <= rollover.started_at_ms - LEAST_HISTORY_MS:
        for view in look.callers.changed():
            first = view.old.first_accepted_ms
            if (
                first is not None
                and first >= rollover.started_at_ms
                and view.id not in episodes
                and not is_outsider(view, look)
                and not look.exempt.covers(view.id)
                and (first_seen := view.first_seen_on_old_ms) is not None
                and first_seen >= rollover.started_at_ms
            ):
                alerts.append(
                    episodes.tell(
                        view.id,
                        severity=AlertSeverity.WARNING,
                        text=(
                            f"{name_of(view.id)} began to use v{rollover.from_version} of {rollover.key} at "
                            f"{rfc3339(first)}, after the rollover had begun; it was not seen there in the "
                            f"{format_duration(rollover.started_at_ms - began)} of history before. "
                            f"Point it to v{rollover.to_version}."
                        ),
                        used_ms=first,
                        evidence=_evidence(view),
                    )
                )
    return alerts, episodes.memory()


def suspect(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Tell, once a caller, that a principal which may not hold the key appeared on the old version after the start.

    Silence does not end it: somebody has to look. It ends when the version is retired.
    """
    episodes = CallerEpisodes(AlertKind.SUSPECT, memory, look)
    if look.retired:
        return list(episodes.close_cleared()), episodes.memory()
    alerts = []
    for view in look.callers.changed():
        if view.id not in episodes and is_outsider(view, look) and not look.exempt.covers(view.id):
            first = view.first_seen_on_old_ms
            if view.old.accepted and first is not None and first >= look.rollover.started_at_ms:
                alerts.append(
                    episodes.tell(
                        view.id,
                        severity=AlertSeverity.CRITICAL,
                        text=(
                            f"{name_of(view.id)} is not among the clients of {look.key.key} and has used "
                            f"v{look.rollover.from_version} since {rfc3339(first)}: the key may have leaked. "
                            "It does not hold the gate."
                        ),
                        used_ms=first,
                        evidence=_evidence(view),
                    )
                )
    return alerts, episodes.memory()


def is_outsider(view: CallerView, look: Look) -> bool:
    """Return whether the key says who may hold it, and this principal is not among them; one without a name may be."""
    return bool(look.key.clients) and view.client is not None and view.client not in look.key.clients


def _evidence(view: CallerView) -> dict[str, Json]:
    first, last = view.old.first_accepted_ms, view.old.last_accepted_ms
    return {
        "first_use": None if first is None else rfc3339(first),
        "last_use": None if last is None else rfc3339(last),
        "uses": view.old.accepted,
    }
