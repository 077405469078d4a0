"""A value that a database refuses must not stop its partition: the flush is halved until one record is found guilty.

The mapping lets nothing through that our databases are known to refuse; this is for what nobody has thought of. A
refused flush is read again, half of it at a time; a record that is refused alone becomes rejects, one for each of its
elements, that count, are seen and hold the gate as any other reject does.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from monitor.core.events import Reject, RejectReason
from monitor.core.windows import Aggregate
from monitor.ports import Applied


def condemned(applied: Applied, value: bytes | None) -> Applied:
    """Return the flush of one record with all of its elements rejected. No text of the record goes with them."""
    sha256 = hashlib.sha256(value or b"").hexdigest()
    known = {each.index: replace(each, sample="") for each in applied.rejects}
    rejects = [
        known.get(index)
        or Reject(
            offset=applied.to_offset - 1,
            index=index,
            reason=RejectReason.BAD_VALUE,
            sha256=sha256,
            sample="",
            arrival_ms=applied.applied_at_ms,
        )
        for index in range(applied.records)
    ]
    return replace(applied, aggregate=Aggregate(), rejects=rejects)
