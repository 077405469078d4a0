"""The tables, once for both databases. Other people's tools read the views (`views.py`), never these."""

from monitor.adapters.sql.schema import records, traffic
from monitor.adapters.sql.schema.columns import metadata

__all__ = ["metadata", "records", "traffic"]
