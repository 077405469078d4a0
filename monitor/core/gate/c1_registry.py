"""C1: both versions are known, and really seen: the positive control against a rollover of wrong ids."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.decision import Status
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import rfc3339

CLAUSE = "C1"


def registry(look: Look) -> Finding:
    """Judge the registry against what was seen. Rate limiting and gateway errors are no control: nothing was served."""
    old = [each.facts for each in look.records_of(look.old_credentials)]
    new = [each.facts for each in look.records_of(look.new_credentials, regional=True)]
    old_first = min([each.first_served_ms for each in old if each.first_served_ms is not None], default=None)
    old_last = max([each.last_served_ms for each in old if each.last_served_ms is not None], default=None)
    new_last = max([each.last_served_ms for each in new if each.last_served_ms is not None], default=None)
    return finding(
        CLAUSE,
        [*_versions(look), *_old(look, old_first), *_new(look, new_last)],
        passed="both versions are registered and were seen with success",
        evidence={
            "old_credentials": [*sorted(look.old_credentials)],
            "new_credentials": [*sorted(look.new_credentials)],
            "old_first_success": None if old_first is None else rfc3339(old_first),
            "old_last_success": None if old_last is None else rfc3339(old_last),
            "new_last_success": None if new_last is None else rfc3339(new_last),
            "never_used_acknowledged_by": look.evidence.never_used_acknowledged_by,
        },
    )


def _versions(look: Look) -> Iterator[Trouble]:
    rollover = look.rollover
    if look.key is None:
        yield _unknown(f"key {rollover.key} is not registered", "register the key with its versions and credentials")
        return
    for number in (rollover.from_version, rollover.to_version):
        version = look.version(number)
        if version is None or not version.credentials:
            yield _unknown(
                f"{rollover.key} v{number} has no registered credentials", "register the credentials of that version"
            )
    if rollover.to_version <= rollover.from_version and not _younger(look):
        yield trouble(
            CLAUSE,
            Status.FAIL,
            f"v{rollover.to_version} is not newer than v{rollover.from_version}: the versions look swapped",
            "register the rollover from the old version to the new one",
        )


def _younger(look: Look) -> bool:
    old, new = look.version(look.rollover.from_version), look.version(look.rollover.to_version)
    if old is None or new is None or old.created_at_ms is None or new.created_at_ms is None:
        return False
    return new.created_at_ms > old.created_at_ms


def _old(look: Look, first_ms: int | None) -> Iterator[Trouble]:
    rollover, began = look.rollover, look.coverage.history_start_ms
    name = f"{rollover.key} v{rollover.from_version}"
    if first_ms is None:
        if look.evidence.never_used_acknowledged_by is None:
            yield _unknown(
                f"{name} was never seen with success: its credentials may be registered wrongly",
                "one success on it, or a named acknowledgement that it was never used",
            )
    elif (
        first_ms >= rollover.started_at_ms
        and began is not None
        and began <= rollover.started_at_ms - look.policy.lookback_ms
    ):
        yield _unknown(
            f"{name} was first seen with success after the rollover began, at {rfc3339(first_ms)}: "
            "its credentials may be those of another version",
            "check the registered credentials; a success before the rollover's start proves them",
        )


def _new(look: Look, last_ms: int | None) -> Iterator[Trouble]:
    rollover = look.rollover
    if last_ms is None or last_ms < rollover.started_at_ms:
        where = "" if look.region is None else f" in {look.region}"
        yield _unknown(
            f"{rollover.key} v{rollover.to_version} was not seen with success{where} since the rollover began",
            "one success on the new version",
        )


def _unknown(summary: str, clear: str) -> Trouble:
    return trouble(CLAUSE, Status.UNKNOWN, summary, clear)
