"""Which alerts follow: from the previous look at a rollover (its memory) and the present one, pure.

Seventh step of the path: decision + evidence -> `Alert`s. What each kind means is in `docs/reference/alerts.md`; one
rule a file. A rule never tells the same thing twice: what it has told is in its memory, a small JSON value which the
daemon keeps as a memo and a replay in its hand.
"""

from monitor.core.alerting.callers import Callers, CallerView, view_callers
from monitor.core.alerting.follow import follow
from monitor.core.alerting.look import Look
from monitor.core.alerting.telemetry import follow_telemetry

__all__ = ["CallerView", "Callers", "Look", "follow", "follow_telemetry", "view_callers"]
