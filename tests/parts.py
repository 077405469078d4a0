"""Real parts as fixtures: started once per test process, stopped at its end, never skipped.

A part that cannot be had is a failure with a message that says how to get it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from monitor.demo.parts.envoy import ApiKey, Envoy, Upstream
from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process. A test that restarts it must leave it running."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of its own for one test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """An Apache Kafka of this test process. A test that kills it must start it again."""
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def kafka_topic(kafka_broker: KafkaBroker) -> Callable[..., str]:
    """Create a topic with a name of its own: `kafka_topic(partitions=3)`."""

    def create(*, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        name = f"t-{uuid.uuid4().hex[:10]}"
        kafka_broker.create_topic(name, partitions, config)
        return name

    return create


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """A service for gateways to stand in front of."""
    service = Upstream()
    yield service
    service.stop()


@pytest.fixture
def envoy(upstream: Upstream) -> Iterator[Callable[..., Envoy]]:
    """Start gateways: `envoy([ApiKey(secret=…, client=…)], gateway="edge-1", region="eu")`."""
    started: list[Envoy] = []

    def start(keys: list[ApiKey], *, gateway: str = "edge-1", region: str = "eu") -> Envoy:
        gateway_process = Envoy(keys, upstream_port=upstream.port, gateway=gateway, region=region)
        started.append(gateway_process)
        gateway_process.start()
        return gateway_process

    yield start
    for each in started:
        each.__exit__(None, None, None)
