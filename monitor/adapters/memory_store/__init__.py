"""The store in memory: the twin of `monitor.adapters.sql`, shipped for replays, demonstrations and tests.

`MemoryStore` keeps every promise of the store's ports except that it outlives the process; one behaviour suite
(`tests/contract/store/`) runs on it, on SQLite and on PostgreSQL. What to know when using it:

- **Merging is in place.** `apply` (or `add`, without offsets) folds an `Aggregate` into the sums and keeps none of it.
- **Callers are handed out alive.** `Snapshot.key` and `telemetry` give the very `CallerFacts` and `Activity` that the
  next flush will change: a look at 10,000 callers copies nothing but one tuple. They stand still while the snapshot is
  open (it holds the store's lock), and must not be changed.
- **`MemoryStore(series=False)`** keeps callers, hourly sums per credential, liveness and rejects, and leaves out the
  time series, failures in detail and the rows of rejects, which a replay does not read.
"""

from monitor.adapters.memory_store.snapshot import MemorySnapshot
from monitor.adapters.memory_store.store import MemoryStore

__all__ = ["MemorySnapshot", "MemoryStore"]
