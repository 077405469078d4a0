"""Keeping the store in memory small: fine buckets become hours, old detail goes, sums stay."""

from __future__ import annotations

from monitor.adapters.memory_store.contents import Contents
from monitor.core.instants import HOUR_MS, SECOND_MS
from monitor.ports.reading import Retention

_HOUR_SECONDS = HOUR_MS // SECOND_MS


def prune(contents: Contents, retention: Retention, now_ms: int) -> dict[str, int]:
    """Fold and drop; return how many rows went, by table."""
    counts = contents.counts
    before = len(counts.usage)
    _fold(contents, _hour(now_ms - retention.fine_ms))
    folded = before - len(counts.usage)
    coarse = _hour(now_ms - retention.coarse_ms)
    old = [cell for cell in counts.usage if cell.bucket_ms < coarse]
    for cell in old:
        del counts.usage[cell]
    failures = [cell for cell in counts.failures if cell.minute_ms < now_ms - retention.failures_ms]
    for failure in failures:
        del counts.failures[failure]
    for gone in [each for each in counts.reject_hours if each[0] < coarse]:
        del counts.reject_hours[gone]
    rejects = len(contents.rejects)
    contents.rejects = [each for each in contents.rejects if each.at_ms >= now_ms - retention.rejects_ms]
    return {
        "usage": folded + len(old),
        "failures": len(failures),
        "rejects": rejects - len(contents.rejects),
        "gateways": sum(each.forget_short(now_ms - retention.gateways_ms) for each in counts.gateways.values()),
        "ledger": contents.partitions.merge_neighbours(),
    }


def _fold(contents: Contents, before_ms: int) -> None:
    """Turn fine buckets of whole hours before that moment into hourly ones; sums stay as they are."""
    usage = contents.counts.usage
    for cell in [each for each in usage if each.bucket_seconds < _HOUR_SECONDS and each.bucket_ms < before_ms]:
        hour = cell._replace(bucket_ms=_hour(cell.bucket_ms), bucket_seconds=_HOUR_SECONDS)
        usage[hour] = usage.get(hour, 0) + usage.pop(cell)


def _hour(at_ms: int) -> int:
    return at_ms - at_ms % HOUR_MS
