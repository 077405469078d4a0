"""Replay: the daemon's own core over recorded events on their own clock (contract: DESIGN section 7).

files -> records (arrival) -> evidence -> at each checkpoint: `decide`, alert rules -> decisions.jsonl, alerts.jsonl
"""
