"""What the clauses look at: the evidence of one rollover at one moment, with what is derived from it once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from monitor.core.callers import CallerCache, Roster, Rules, survey
from monitor.core.coverage import Coverage
from monitor.core.evidence import CallerRecord, KeyEvidence, Telemetry
from monitor.core.instants import DAY_MS
from monitor.core.policy import Policy
from monitor.core.registry import Key, KeyVersion, Registry, Rollover


class Look:
    """One look at one rollover. What is derived is computed when first asked for; a fault in it is the asker's."""

    def __init__(
        self,
        *,
        rollover: Rollover,
        registry: Registry,
        policy: Policy,
        evidence: KeyEvidence,
        telemetry: Telemetry,
        region: str | None,
        cache: CallerCache | None,
    ) -> None:
        """Take the evidence; compute nothing yet."""
        self.rollover = rollover
        self.registry = registry
        self.policy = policy
        self.evidence = evidence
        self.telemetry = telemetry
        self.region = region
        self.cache = cache or CallerCache()
        self.now_ms = telemetry.now_ms
        self.window_from_ms = telemetry.now_ms - policy.quiet_window_ms

    @cached_property
    def key(self) -> Key | None:
        """Return the key as registered."""
        return self.registry.key_by_name.get(self.rollover.key)

    def version(self, number: int) -> KeyVersion | None:
        """Return a version as registered."""
        return None if self.key is None else self.key.version(number)

    @cached_property
    def old_credentials(self) -> frozenset[str]:
        """Return the credentials of the version to be retired."""
        old = self.version(self.rollover.from_version)
        return frozenset(() if old is None else old.credentials)

    @cached_property
    def new_credentials(self) -> frozenset[str]:
        """Return those on which a success proves a move: the new version's, and any later one's not being retired."""
        if self.key is None:
            return frozenset()
        leaving = {
            each.from_version
            for each in self.registry.rollovers
            if each.key == self.rollover.key and each.started_at_ms <= self.now_ms
        }
        return (
            frozenset(
                credential
                for version in self.key.versions
                if version.version == self.rollover.to_version
                or (version.version > self.rollover.to_version and version.version not in leaving)
                for credential in version.credentials
            )
            - self.old_credentials
        )

    @cached_property
    def coverage(self) -> Coverage:
        """Return how well the window was watched."""
        return self.cache.coverage(self.telemetry, self.registry, self.policy, self.region)

    @cached_property
    def rules(self) -> Rules:
        """Return what decides callers' states beside themselves."""
        began = self.coverage.history_start_ms
        return Rules(
            policy=self.policy,
            started_at_ms=self.rollover.started_at_ms,
            clients=frozenset(() if self.key is None else self.key.clients),
            waivers=tuple(each for each in self.registry.waivers if each.rollover == self.rollover.id),
            noise=self.registry.noise,
            history_before_start=began is not None and began + DAY_MS <= self.rollover.started_at_ms,
        )

    @cached_property
    def roster(self) -> Roster:
        """Return every caller of the old version with its standing."""
        return survey(
            self.evidence.callers,
            old_credentials=self.old_credentials,
            new_credentials=self.new_credentials,
            rules=self.rules,
            now_ms=self.now_ms,
            blind_until_ms=self.coverage.blind_until_ms,
            rollover=self.rollover.id,
            region=self.region,
            cache=self.cache,
        )

    def records_of(self, credentials: frozenset[str], *, regional: bool = False) -> Iterable[CallerRecord]:
        """Yield the caller records of these credentials, of this region only where asked."""
        for each in self.evidence.callers:
            if each.credential in credentials and (not regional or self.region in (None, each.region)):
                yield each
