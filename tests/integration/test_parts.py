"""The real parts do what the other tests lean on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
from kafka import KafkaConsumer, TopicPartition

from monitor.demo.parts.envoy import ApiKey, Envoy
from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer
from monitor.demo.parts.process import wait_until
from monitor.demo.parts.shipper import Shipper


def consume(broker: KafkaBroker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, 0)])
    values: list[bytes] = []

    def have_all() -> bool:
        for records in consumer.poll(timeout_ms=200).values():
            values.extend(record.value for record in records)
        return len(values) >= count

    try:
        wait_until(have_all, seconds=30, what=f"{count} records of {topic}")
    finally:
        consumer.close()
    return values


def test_a_broker_killed_without_warning_keeps_what_it_had_confirmed(
    kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic()
    kafka_broker.produce(topic, [b"one", b"two"])
    kafka_broker.kill()
    kafka_broker.start()
    kafka_broker.produce(topic, [b"three"])
    assert consume(kafka_broker, topic, 3) == [b"one", b"two", b"three"]


def test_an_immediate_restart_of_postgresql_keeps_committed_rows(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    dsn = postgres_url.replace("+psycopg", "")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    postgres_server.restart("immediate")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def status_of(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def test_envoy_says_in_its_log_which_key_was_accepted_and_why_another_was_not(
    envoy: Callable[..., Envoy], kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    gateway = envoy([ApiKey(secret="good-secret", client="acme")], gateway="edge-7", region="us")
    good = {"x_api_key": "good-secret"}
    statuses = [
        status_of(gateway.url + "/orders", **good),
        status_of(gateway.url + "/orders", x_api_key="bad-secret"),
        status_of(gateway.url + "/orders"),
        status_of(gateway.url + "/private", **good),
        status_of(gateway.url + "/deny", **good),
    ]
    assert statuses == [200, 401, 401, 403, 401]

    topic = kafka_topic()
    with Shipper(Path(gateway.access_log_path), bootstrap=kafka_broker.bootstrap, topic=topic):
        lines = [json.loads(line) for line in consume(kafka_broker, topic, len(statuses))]
    assert {(line["gateway"], line["region"]) for line in lines} == {("edge-7", "us")}
    assert [line["response_code"] for line in lines] == statuses
    assert [line["response_code_details"] for line in lines[1:4]] == [
        "unknown_api_key",
        "missing_api_key",
        "client_not_allowed",
    ]
    assert lines[0]["client_id"] == "acme"
    assert lines[1]["client_id"] is None, "the gateway knows no client of a key that it does not know"
    assert lines[4]["upstream_host"], "this 401 is the upstream's own"
