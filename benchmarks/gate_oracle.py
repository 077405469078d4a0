"""A slow, plain reading of DESIGN §6 and §7 over a story's own calls: no code of the gate, no stored aggregates.

It says, for any moment, whether the policy allows a GO by then, and who holds it back. Exact times throughout, so the
gate (half hours within a day) may be a little later and never earlier.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from monitor.core.instants import DAY_MS, HOUR_MS, parse_duration, parse_rfc3339
from monitor.core.policy import Policy
from monitor.simulate.story import Call, Story

Who = tuple[str | None, str | None]


@dataclass
class Track:
    """One caller's calls of one kind, in order of arrival."""

    ts: list[int] = field(default_factory=list)
    arrival: list[int] = field(default_factory=list)

    def add(self, call: Call) -> None:
        self.ts.append(call.ts_ms)
        self.arrival.append(call.arrival_ms)

    def seen(self, now: int) -> np.ndarray:
        """Return the event times that have arrived, sorted."""
        if getattr(self, "_arrivals", None) is None or len(self._arrivals) != len(self.ts):
            self._times, self._arrivals = (np.array(each, dtype=np.int64) for each in (self.ts, self.arrival))
            self._in_order = bool(np.all(np.diff(self._times) >= 0))
            self._upto = -1
        upto = int(np.searchsorted(self._arrivals, now, side="right"))
        if self._in_order:
            return self._times[:upto]
        if self._upto != upto:
            self._upto = upto
            self._sorted = np.sort(self._times[:upto], kind="stable")
        return self._sorted


@dataclass
class Reading:
    """What the policy says at one moment."""

    go: bool
    holders: frozenset[Who]
    cadence_only: bool
    why: frozenset[str]


class Oracle:
    """Answers for one story and its first rollover."""

    def __init__(self, story: Story) -> None:
        registry = story.registry
        rollover = registry["rollovers"][0]  # type: ignore[index]
        self.policy = Policy().overridden(rollover.get("policy", {}))
        self.start = parse_rfc3339(rollover["started_at"])
        self.clients = registry["keys"][0].get("clients", [])  # type: ignore[index]
        self.registry = registry
        self.old_use: dict[Who, Track] = defaultdict(Track)
        self.old_served: dict[Who, Track] = defaultdict(Track)
        self.old_rejected: dict[Who, Track] = defaultdict(Track)
        self.new_served: dict[Who, Track] = defaultdict(Track)
        self.new_rejected: dict[Who, Track] = defaultdict(Track)
        self.heard: dict[str, Track] = defaultdict(Track)
        self.strays: dict[tuple[str | None, Who], Track] = defaultdict(Track)
        self.sampled = Track()
        self.suspect_times = Track()
        arrivals = [call.arrival_ms for call in story.in_order()]
        # what has no readable time arrives with the record before it
        self.rejects = sorted(arrivals[max(bisect_right(arrivals, at) - 1, 0)] for at, _ in story.broken)
        self.first_ts: int | None = None
        versions = {v["version"]: set(v["credentials"]) for v in registry["keys"][0]["versions"]}  # type: ignore[index]
        self.old = versions[rollover["from"]]
        newer = {c for version, each in versions.items() if version >= rollover["to"] for c in each}
        known = {c for key in registry["keys"] for v in key["versions"] for c in v["credentials"]}  # type: ignore[union-attr]
        known |= {each.get("credential") for each in registry.get("unmanaged", [])}  # type: ignore[union-attr]
        for call in story.in_order():
            who = (call.client, call.source)
            if self.first_ts is None:
                self.first_ts = call.ts_ms
            self.heard[call.gateway].add(call)
            if call.sample_rate < 1:
                self.sampled.add(call)
            served = call.accepted and call.reason == "ok"
            if call.credential in self.old:
                if call.ts_ms > call.arrival_ms + self.policy.max_clock_skew_ms and call.accepted:
                    self.suspect_times.add(call)
                    call = call._replace(ts_ms=call.arrival_ms)  # noqa: PLW2901 - counted at its arrival
                (self.old_use if call.accepted else self.old_rejected)[who].add(call)
                if served:
                    self.old_served[who].add(call)
            elif call.credential in newer:
                if served:
                    self.new_served[who].add(call)
                elif not call.accepted:
                    self.new_rejected[who].add(call)
            elif call.accepted and call.credential not in known:
                self.strays[call.credential, who].add(call)
        self._cached: dict[tuple[int, int, int], tuple[int, float | None]] = {}

    def read(self, now: int) -> Reading:
        """Return what the policy says at `now`."""
        policy = self.policy
        window = now - policy.quiet_window_ms
        why = set()
        blind = self._blind_until(now)
        if not any(len(each.seen(now)) for each in self.old_served.values()):
            why.add("C1")
        if not any(len(s := each.seen(now)) and s[-1] >= self.start for each in self.new_served.values()):
            why.add("C1")
        why |= self._telemetry(now, window)
        holders = set()
        cadence_only = True
        for who in self.old_use:
            if len(self.old_use[who].seen(now)) and not self._exempt(who, now, window):
                state = self._state(who, now, blind)
                if state:
                    holders.add(who)
                    cadence_only = cadence_only and state == "unknown_cadence"
        if holders:
            why.add("C7")
        if self.first_ts is None or self.first_ts > now - policy.lookback_ms:
            why.add("C7h")
        for who, failed in self.new_rejected.items():
            times = failed.seen(now)
            served = self.new_served[who].seen(now)
            if len(times) and times[-1] >= window and (not len(served) or served[-1] < times[-1]):
                if len(self.old_use[who].seen(now)) and not self._exempt(who, now, window):
                    why.add("C8")
        if now - self.start < policy.min_overlap_ms or self._pinned(now):
            why.add("C9")
        late = self.suspect_times.seen(now)
        if len(late) and max(self.suspect_times.arrival[: len(late)]) >= window:
            why.add("C9c")
        return Reading(
            go=not why,
            holders=frozenset(holders),
            cadence_only=bool(holders) and cadence_only,
            why=frozenset(why),
        )

    def _telemetry(self, now: int, window: int) -> set[str]:
        why = set()
        names = {each["gateway"] for each in self.registry["gateways"]}  # type: ignore[union-attr,index]
        for each in self.registry["gateways"]:  # type: ignore[union-attr]
            begin, end, most = self._lifetime(each)
            times = self.heard[each["gateway"]].seen(now)
            low, high = max(window, begin), min(now, end)
            if low < high:
                inside = times[(times > low) & (times < high)]
                if int(np.diff(np.concatenate([[low], inside, [high]])).max()) > most:
                    why.add("C3")
            if end <= now and len(times) and times[-1] > end + most:
                why.add("C3")
        for name, track in self.heard.items():
            times = track.seen(now)
            if name not in names and len(times) and times[-1] >= window:
                why.add("C3")
        for track in self.strays.values():
            if len(track.seen(now)) and now - track.seen(now)[-1] < self._gone_silence(track.seen(now)):
                why.add("C5")
        if any(window <= at <= now for at in self.rejects):
            why.add("C5")
        sampled = self.sampled.seen(now)
        if len(sampled) and sampled[-1] >= window:
            why.add("C5")
        return why

    def _blind_until(self, now: int) -> int:
        """Return the end of the last gap of an hour or more in what was heard of any registered gateway."""
        latest = 0
        for each in self.registry["gateways"]:  # type: ignore[union-attr]
            begin, end, most = self._lifetime(each)
            least = max(HOUR_MS, most + 1)
            begin, end = max(begin, self.first_ts or 0), min(end, now)
            times = self.heard[each["gateway"]].seen(now)
            edges = np.concatenate([[begin], times[(times > begin) & (times < end)], [end]])
            gaps = np.nonzero(np.diff(edges) >= least)[0]
            if len(gaps):
                latest = max(latest, int(edges[gaps[-1] + 1]))
        sampled = self.sampled.seen(now)
        return max(latest, int(sampled[-1]) if len(sampled) else 0)

    def _lifetime(self, gateway: dict[str, str]) -> tuple[int, int, int]:
        """Return from when to when a registered gateway exists, and how long it may be silent."""
        begin = parse_rfc3339(gateway["from"]) if "from" in gateway else 0
        end = parse_rfc3339(gateway["until"]) if "until" in gateway else 1 << 62
        most = parse_duration(gateway["max_silence"]) if "max_silence" in gateway else self.policy.max_silence_ms
        return begin, end, most

    def _exempt(self, who: Who, now: int, window: int) -> bool:
        client, source = who
        for waiver in self.registry.get("waivers", []):  # type: ignore[union-attr]
            covers = waiver["client"] == client and waiver.get("source") in (None, source)
            if covers and parse_rfc3339(waiver["from"]) <= now < parse_rfc3339(waiver["until"]):
                return True
        if self.clients and client and client not in self.clients and self.old_use[who].seen(now)[0] >= self.start:
            return True
        for noise in self.registry.get("noise", []):  # type: ignore[union-attr]
            if noise["client"] == client:
                uses = self.old_use[who].seen(now)
                days = uses[uses >= window] // DAY_MS
                return not len(days) or int(np.unique(days, return_counts=True)[1].max()) <= noise["max_per_day"]
        return False

    def _pinned(self, now: int) -> bool:
        return any(now < parse_rfc3339(each["until"]) for each in self.registry.get("pins", []))  # type: ignore[union-attr]

    def _state(self, who: Who, now: int, blind: int) -> str | None:
        """Return why the caller holds the gate, or `None` if it does not."""
        policy = self.policy
        uses = self.old_use[who].seen(now)
        last_use = int(uses[-1])
        rejected = self.old_rejected[who].seen(now)
        last = max(last_use, int(rejected[-1])) if len(rejected) else last_use
        silent = now - last
        shortest = min(policy.quiet_window_ms, policy.settle_ms)
        if silent < shortest:
            return "active"
        longest = int(np.diff(uses).max()) if len(uses) > 1 else 0
        new = self.new_served[who].seen(now)
        after = new[np.searchsorted(new, last, side="right") :]
        if len(after) and now - int(after[0]) >= policy.settle_ms:
            since = uses[uses > new[0]]
            mean = (int(since[-1]) - int(new[0])) / len(since) if len(since) else 0
            needed = min(policy.quiet_window_ms, max(policy.settle_ms, policy.gap_factor * longest, 12 * mean))
            if silent >= needed:
                return None
        failed = self.new_rejected[who].seen(now)
        if len(failed) and (not len(new) or new[-1] < failed[-1]):
            return "fails_on_new"
        observed = now - max(last, blind)
        served = self.old_served[who].seen(now)
        if observed >= self._gone_silence(served, longest):
            return None
        sightings, variation = self._rhythm(served)
        regular = sightings >= policy.min_sightings and variation is not None and variation <= 0.2
        return "gone" if regular or sightings >= 10 else "unknown_cadence"

    def _gone_silence(self, served: np.ndarray, longest: int | None = None) -> float:
        """Return how long observed silence must last for `presumed_gone`, or for the longest cadence."""
        policy = self.policy
        if longest is None:
            longest = int(np.diff(served).max()) if len(served) > 1 else 0
        sightings, variation = self._rhythm(served)
        floor = max(policy.quiet_window_ms, policy.gone_after_ms)
        if sightings >= policy.min_sightings and variation is not None and variation <= 0.2:
            return max(floor, policy.gap_factor * longest)
        return max(floor, 3 * longest) if sightings >= 10 else policy.longest_cadence_ms

    def _rhythm(self, times: np.ndarray) -> tuple[int, float | None]:
        """Return the number of sightings, and the coefficient of variation of their gaps."""
        key = (len(times), int(times[0]) if len(times) else 0, int(times[-1]) if len(times) else 0)
        if key in self._cached:
            return self._cached[key]
        begun: list[int] = []
        for at in times.tolist():
            if not begun or at - begun[-1] >= 12 * HOUR_MS:
                begun.append(at)
        gaps = np.diff(np.array(begun))
        answer = (len(begun), float(gaps.std() / gaps.mean()) if len(gaps) > 1 else None)
        self._cached[key] = answer
        return answer
