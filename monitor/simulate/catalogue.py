"""The kinds of stories, by name."""

from __future__ import annotations

from random import Random
from zlib import crc32

from monitor.core.instants import DAY_MS, parse_rfc3339
from monitor.simulate.cast import Kind
from monitor.simulate.mishaps import MISHAPS
from monitor.simulate.people import PEOPLE
from monitor.simulate.plumbing import PLUMBING
from monitor.simulate.story import Story

KINDS: dict[str, Kind] = {**PEOPLE, **PLUMBING, **MISHAPS}

_FIRST_MS = parse_rfc3339("2026-01-05T00:00:00Z")


def tell(kind: str, seed: int) -> Story:
    """Return the story of that kind; the same kind and seed give the same story. Raises `KeyError`."""
    how = KINDS[kind]
    random = Random(crc32(kind.encode()) * 1_000_003 + seed)  # noqa: S311 - a simulation
    begin_ms = _FIRST_MS + random.randrange(180) * DAY_MS + random.randrange(DAY_MS // 1000) * 1000
    start_ms = begin_ms + how.history_days * DAY_MS
    story = Story(
        kind=kind,
        seed=seed,
        random=random,
        begin_ms=begin_ms,
        start_ms=start_ms,
        end_ms=start_ms + how.rollover_days * DAY_MS,
    )
    how.tell(story)
    return story
