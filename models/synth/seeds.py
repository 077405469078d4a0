"""Which seeds were used for what: trained on one list, tuned on the next, reported once on the last. Never mixed."""

TRAINING = tuple(range(1000, 1060))
"""Fleets of our own that the re-ranker's trees are grown on."""
SECOND = tuple(range(101, 109))
"""Worlds of the second simulator that they are grown on, one of each level a seed."""
THIRD = tuple(range(401, 409))
"""Worlds of the third, likewise."""
FOURTH = tuple(range(501, 509))
"""Worlds of the fourth, likewise."""
CALIBRATION = tuple(range(2000, 2012))
"""Fleets that its thresholds are chosen on."""
TUNING = tuple(range(3000, 3012))
"""Fleets that rules and features were improved on."""
REPORT = tuple(range(4000, 4008))
"""Fleets of the model card: looked at when everything else stood."""
FURTHER = tuple(range(5000, 5004))
"""Fleets of two weeks, looked at whenever trees or thresholds change: not fresh, but never tuned on."""
