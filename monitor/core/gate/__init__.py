"""The gate: may the old version be retired? GO iff every clause passes, never on missing evidence (DESIGN §7)."""

from monitor.core.callers import CallerCache, Standing
from monitor.core.gate.verdict import CLAUSES, caller_states, decide

__all__ = ["CLAUSES", "CallerCache", "Standing", "caller_states", "decide"]
