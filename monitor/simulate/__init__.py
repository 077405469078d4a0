"""Histories of rollovers with a known truth: made up, seeded, written as a gateway's log and a registry.

For people who want to try a policy before they have a history, and for the benchmark that tries to embarrass the gate
(`benchmarks/gate_histories.py`). A story says who really moved when, who came back, and which alerts are due.
"""

from monitor.simulate.catalogue import KINDS, tell
from monitor.simulate.story import Story

__all__ = ["KINDS", "Story", "tell"]
