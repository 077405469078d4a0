"""The behaviour suite of every store: memory, SQLite, PostgreSQL."""
