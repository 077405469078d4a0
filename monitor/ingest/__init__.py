"""Ingest: from a record source into the store, exactly once in effect. `Worker` is the loop; the rest are its parts."""

from monitor.ingest.settings import SYSTEM_CLOCK, Clock, IngestSettings
from monitor.ingest.status import IngestObserver, Unobserved, WorkerStatus
from monitor.ingest.worker import Worker

__all__ = ["SYSTEM_CLOCK", "Clock", "IngestObserver", "IngestSettings", "Unobserved", "Worker", "WorkerStatus"]
