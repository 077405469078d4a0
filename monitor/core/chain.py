"""The hash chain of the evidence ledger: whatever is changed, removed or put in between afterwards shows.

One definition for every store. `hash` = SHA-256 over the canonical JSON of the row and the hash of the row before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from monitor.core.decision import Json

GENESIS = "0" * 64
"""What the first row has for its predecessor's hash."""


def canonical_json(body: Json) -> str:
    """Return the one text of a JSON value: sorted names, no blanks, no NaN (`ValueError`)."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain_hash(*, seq: int, at_ms: int, kind: str, rollover: str | None, body: Mapping[str, Json], prev: str) -> str:
    """Return the hash of a row that follows the row with hash `prev`."""
    row: dict[str, Json] = {
        "at_ms": at_ms,
        "body": body,
        "kind": kind,
        "prev_hash": prev,
        "rollover": rollover,
        "seq": seq,
    }
    return hashlib.sha256(canonical_json(row).encode("utf-8", "surrogatepass")).hexdigest()
