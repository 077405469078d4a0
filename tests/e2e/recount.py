"""An independent recount of canonical events: json and dictionaries, sharing no code with Rollwatch.

It says what `v_usage` must hold, cell by cell, for the records of a topic.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

Cell = tuple[int, str | None, str, str | None, str, str]
"""Hour (epoch seconds), credential, gateway, region, outcome, reason."""


def recount(values: Iterable[bytes], *, registered: set[str]) -> Counter[Cell]:
    """Return requests by cell; failures whose credential is not registered have none."""
    cells: Counter[Cell] = Counter()
    for value in values:
        document = json.loads(value)
        for event in document if isinstance(document, list) else [document]:
            ts = event["ts"]
            seconds = datetime.fromisoformat(ts).timestamp() if isinstance(ts, str) else ts / 1000
            outcome, reason = (
                event["outcome"],
                event.get("reason") or ("ok" if event["outcome"] == "success" else "other"),
            )
            credential = event.get("credential")
            if outcome == "failure" and credential not in registered:
                credential = None
            cell = (int(seconds // 3600 * 3600), credential, event["gateway"], event.get("region"), outcome, reason)
            cells[cell] += event.get("count", 1)
    return cells
