"""Simulated fleets: seeded traffic of rolling keys with faults of every cause and benign events as rich as the faults.

For training the re-ranker, tuning and reporting. Nothing in production reads a simulator's name or constant.
"""

from models.synth.faults import Fault
from models.synth.fleet import Fleet, simulate
from models.synth.world import HARD, REALISTIC, World

__all__ = ["HARD", "REALISTIC", "Fault", "Fleet", "World", "simulate"]
