"""The third, independent simulator of fleets: one of the four that the trees are grown on.

A cast is drawn (`third_cast.py`), some of its rollovers fail (`third_faults.py`), all sorts of trouble is added
(`third_troubles.py`), then its callers ask (`third_traffic.py`). Nothing is shared with `fleet.py` or
`second_world.py`: no constant, name or dialect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from models.synth.third_cast import DAY, Cast, Key
from models.synth.third_faults import break_rollover
from models.synth.third_traffic import START, Timed, Traffic
from models.synth.third_troubles import trouble_fleet, trouble_key

_ROLLING_SHARE = 0.8
_LEAST_HITS = 3


class World:
    """One fleet, drawn from one seed. Its events can be asked for again and are the same."""

    def __init__(self, seed: int, *, keys: int, days: float, hard: bool, failing: float = 1 / 8) -> None:
        """Plan every key's history; `failing` is the share of rollovers that fail."""
        self.start, self.days = START, days
        self.cast = Cast(seed, keys=keys, days=days, hard=hard)
        self.keys = [self.cast.key(i) for i in range(keys)]
        self._asked = False
        for key in self.keys:
            if self.cast.dice.random() < _ROLLING_SHARE:
                self.cast.roll(key)
                if self.cast.dice.random() < failing:
                    break_rollover(self.cast, key)
            trouble_key(self.cast, key)
        trouble_fleet(self.cast, self.keys)

    def events(self) -> Iterator[Timed]:
        """Yield (seconds, canonical event), not in order."""
        for key in self.keys:
            key.hits.clear()
            yield from Traffic(self.cast, key).events()
            key.hits.sort()
        self._asked = True

    def registry(self) -> dict[str, Any]:
        """Return `keys.yaml` (JSON is YAML)."""
        gateways = [{"gateway": x.name, "region": x.region} for x in self.cast.gateways]
        rollovers = [self._rollover(key) for key in self.keys if key.started < math.inf]
        return {"keys": [_entry(key) for key in self.keys], "gateways": gateways, "rollovers": rollovers}

    def _rollover(self, key: Key) -> dict[str, Any]:
        row: dict[str, Any] = {"id": f"{key.key}-r", "key": key.key, "from": key.version, "to": key.version + 1}
        row |= {"started_at": _iso(key.started), "deadline": _iso(key.ended)}
        if key.ended < self.cast.end:
            row["retired_at"] = _iso(key.ended)
        return row

    def labels(self) -> list[dict[str, Any]]:
        """Return the true faults: those with three failing requests and more."""
        if not self._asked:
            for _ in self.events():
                pass
        return [
            {
                "key": key.key,
                "version": key.fault.version,
                "cause": key.cause,
                "first_at": _iso(key.hits[0]),
                "last_at": _iso(key.hits[-1]),
            }
            for key in self.keys
            if key.fault is not None and len(key.hits) >= _LEAST_HITS
        ]


def _entry(key: Key) -> dict[str, Any]:
    versions = [_version(key, key.version, key.created)]
    if key.expires is not None:
        versions[0]["expires_at"] = _iso(key.expires)
    if key.older:
        versions.insert(0, _version(key, key.version - 1, key.created - 90 * DAY))
    if key.started < math.inf:
        versions.append(_version(key, key.version + 1, key.started - 600))
    entry: dict[str, Any] = {"key": key.key, "owner": {"team": f"team-{key.index % 9}"}, "versions": versions}
    if key.listed:
        entry["clients"] = sorted({caller.client for caller in key.callers})
    return entry


def _version(key: Key, version: int, created: float) -> dict[str, Any]:
    return {"version": version, "credentials": [f"{key.key}-c{version}"], "created_at": _iso(created)}


def _iso(seconds: float) -> str:
    at = START + timedelta(seconds=round(seconds, 3))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
