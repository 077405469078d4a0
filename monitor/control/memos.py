"""Names of the small documents that the daemon's parts leave for each other in the store."""

from __future__ import annotations

WATCH_MEMO = "watch"
"""What the watch loop leaves behind after each look: `at_ms`, `detector` (why it is not ready, or null)."""
KEYS_FILE_MEMO = "keys_file"
"""Why the keys file was refused: `error` (or null), `at_ms`."""
BROWNOUT_MEMO = "brownout:"
"""And a rollover's id: the limits of its window under way: `since_ms`, `accept` and `until_ms` (or null)."""
