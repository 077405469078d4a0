"""The store on SQLAlchemy: SQLite (a file, WAL) and PostgreSQL (psycopg 3) behind one object."""

from monitor.adapters.sql.engine import parsed_url
from monitor.adapters.sql.migrate import upgrade
from monitor.adapters.sql.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store", "parsed_url", "upgrade"]
