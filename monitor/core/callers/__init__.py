"""Callers (client x source) of an old key version and where they stand: silence is not migration (DESIGN §6)."""

from monitor.core.callers.profile import Profile, profile
from monitor.core.callers.roster import CallerCache, Entry, Roster, survey
from monitor.core.callers.standing import FOREVER_MS, Rules, Standing, covers, stand

__all__ = [
    "FOREVER_MS",
    "CallerCache",
    "Entry",
    "Profile",
    "Roster",
    "Rules",
    "Standing",
    "covers",
    "profile",
    "stand",
    "survey",
]
