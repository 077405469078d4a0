"""Episodes of callers: what a rule has told of whom, and whether it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from monitor.core.alerting.callers import CallerId
from monitor.core.alerting.look import Look, Memory, caller_code, decoded, episode_name, name_of
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.instants import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One caller's episode: when it was told, whether it goes on, and what was told last (`cause`).

    `used_ms` is the use that opened it, or, once over, the last use by then: only a later one begins another.
    """

    began_ms: int
    is_open: bool = True
    cause: str | None = None
    used_ms: int = 0


class _Written(dict[str, Json]):
    """A memory that still has the episodes which it was written from: a loop need not read what it wrote itself."""

    __slots__ = ("episodes",)

    def __init__(self, episodes: dict[CallerId, Episode], beside: Mapping[str, Json]) -> None:
        """Write them; they are not changed any more."""
        callers: list[Json] = [
            {
                "caller": caller_code(caller),
                "began": each.began_ms,
                "open": each.is_open,
                "cause": each.cause,
                "used": each.used_ms,
            }
            for caller, each in episodes.items()
        ]
        super().__init__({"callers": callers, **beside} if callers else beside)
        self.episodes = episodes


class CallerEpisodes:
    """The episodes of one kind in one rollover, read from a memory and written back."""

    def __init__(self, kind: AlertKind, memory: Memory, look: Look) -> None:
        """Read them."""
        self._kind = kind
        self._look = look
        self._memory = memory
        self._changed = False
        self._episodes = memory.episodes if isinstance(memory, _Written) else dict(_read(memory))

    def __contains__(self, caller: CallerId) -> bool:
        """Return whether anything was ever told of that caller."""
        return caller in self._episodes

    def find(self, caller: CallerId) -> Episode | None:
        """Return the caller's latest episode."""
        return self._episodes.get(caller)

    def ongoing(self) -> Iterator[tuple[CallerId, Episode]]:
        """Yield the open ones, in a fixed order."""
        yield from [(caller, each) for caller, each in self._episodes.items() if each.is_open]

    def tell(
        self,
        caller: CallerId,
        *,
        severity: AlertSeverity,
        text: str,
        cause: str | None = None,
        used_ms: int = 0,
        evidence: dict[str, Json] | None = None,
    ) -> Alert:
        """Open an episode, or correct the open one; return the alert."""
        before = self._episodes.get(caller)
        if before is not None and before.is_open:
            episode = replace(before, cause=cause, used_ms=max(used_ms, before.used_ms))
        else:
            self._own().pop(caller, None)
            episode = Episode(began_ms=self._look.now_ms, cause=cause, used_ms=used_ms)
        self._own()[caller] = episode
        return self._look.alert(
            self._kind,
            severity=severity,
            text=text,
            caller=caller,
            cause=cause,
            episode=self._name(caller, episode),
            evidence=evidence,
        )

    def close(self, caller: CallerId, *, why: str, used_ms: int | None = None) -> Alert:
        """End the open episode; return its `resolved`."""
        episode = self._episodes[caller]
        self._own()[caller] = replace(episode, is_open=False, used_ms=max(episode.used_ms, used_ms or 0))
        return self._look.alert(
            AlertKind.RESOLVED,
            severity=AlertSeverity.INFO,
            text=f"{name_of(caller)}: {why}",
            caller=caller,
            cause=episode.cause,
            episode=self._name(caller, episode),
            evidence={"kind": self._kind.value, "opened_at": rfc3339(episode.began_ms)},
        )

    def close_cleared(self) -> Iterator[Alert]:
        """End the episodes of callers that hold the gate no more, or all of them once the version is retired."""
        look = self._look
        for caller, _ in self.ongoing():
            if look.retired:
                yield self.close(caller, why=f"v{look.rollover.from_version} was retired")
            elif look.holders_known and caller not in look.holders:
                view = look.callers.find(caller)
                yield self.close(
                    caller,
                    why="holds the gate no more",
                    used_ms=None if view is None else view.last_old_use_ms,
                )

    def memory(self, **beside: Json) -> Memory:
        """Return what has to be remembered, with values beside the episodes: the same memory if it says so already."""
        if not self._changed and all(self._memory.get(name) == value for name, value in beside.items()):
            return self._memory
        return _Written(self._episodes, {name: value for name, value in beside.items() if value is not None})

    def _own(self) -> dict[CallerId, Episode]:
        """Return the episodes to be changed: what a memory holds stays as it is."""
        if not self._changed:
            self._changed = True
            self._episodes = dict(self._episodes)
        return self._episodes

    def _name(self, caller: CallerId, episode: Episode) -> str:
        return episode_name(self._kind, self._look.rollover.id, caller, episode.began_ms)


def _read(memory: Memory) -> Iterator[tuple[CallerId, Episode]]:
    for caller, entry in decoded(memory.get("callers")):
        yield (
            caller,
            Episode(
                began_ms=_whole(entry.get("began")),
                is_open=entry.get("open") is True,
                cause=cause if isinstance(cause := entry.get("cause"), str) else None,
                used_ms=_whole(entry.get("used")),
            ),
        )


def _whole(value: Json | None) -> int:
    return value if isinstance(value, int) else 0
