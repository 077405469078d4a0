"""Real parts from package registries: Apache Kafka, PostgreSQL, Envoy. For `make demo-kafka` and for the tests.

Each part is a context manager that chooses free loopback ports, keeps its files in a folder of its own, and ends only
what it started. It dies with its parent.
"""
