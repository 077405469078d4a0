"""Ten thousand secrets go through the daemon, each where some gateway leaves them: none is seen again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.fleet import Site

COUNT = 10_000
Place = Callable[[str, int], bytes]


def _canonical(**fields: Any) -> bytes:
    now_ms = int(time.time() * 1000)
    event = {"ts": now_ms, "outcome": "failure", "credential": "cred-a1", "client": "acme", "gateway": "edge-1"}
    return json.dumps({**event, **fields}).encode()


def _kong(status: int = 401, **request: Any) -> bytes:
    record = {
        "started_at": int(time.time() * 1000),
        "request": {"id": "r", "uri": "/orders", "url": "http://gw/orders", "method": "GET", "headers": {}, **request},
        "response": {"status": status, "headers": {}},
        "latencies": {"kong": 1, "proxy": -1, "request": 2},
        "source": "kong",
        "upstream_status": "",
        "gateway": "edge-1",
    }
    return json.dumps(record).encode()


CANONICAL: dict[str, Place] = {
    "the query of a route": lambda secret, _: _canonical(route=f"/orders?api_key={secret}", reason="expired"),
    "the query of a URL as a route": lambda secret, _: _canonical(route=f"https://u:p@gw/orders?key={secret}#f"),
    "a field that nobody knows": lambda secret, _: _canonical(authorization=f"Bearer {secret}"),
    "deep inside of one": lambda secret, _: _canonical(request={"headers": [{"x-api-key": secret}]}),
    "the name of a field": lambda secret, _: _canonical(**{secret: 1}),
    "a rejected value": lambda secret, _: _canonical(outcome=secret),
    "a rejected time": lambda secret, _: _canonical(ts=secret),
    "beside what is rejected": lambda secret, _: _canonical(ts=True, credential=secret, client=secret, route=secret),
    "the name of a rejected field": lambda secret, _: _canonical(ts=None, **{secret: secret}),
    "a reason": lambda secret, _: _canonical(reason=secret),
    "what is not JSON": lambda secret, _: f"GET /orders?api_key={secret} HTTP/1.1".encode(),
    "JSON that is cut off": lambda secret, _: _canonical(x=secret)[:-1],
    "a text instead of an object": lambda secret, _: json.dumps(secret).encode(),
    "a field that is there twice": lambda secret, _: b'{"ts": 1, "ts": "' + secret.encode() + b'"}',
    "bytes that are no UTF-8": lambda secret, _: b"\xff" + secret.encode(),
    "a record that is too long": lambda secret, number: secret.encode() + b"x" * 70_000 if number < 400 else b"",
    "an array of odd elements": lambda secret, _: json.dumps([secret, {"a": secret}, [secret]]).encode(),
    "text that cannot be stored": lambda secret, _: _canonical(client=f"{secret}\0"),
}
KONG: dict[str, Place] = {
    "the header that presents it": lambda secret, _: _kong(headers={"apikey": secret}),
    "another one": lambda secret, _: _kong(headers={"X-Api-Key": [secret, secret]}),
    "authorization": lambda secret, _: _kong(headers={"authorization": f"Bearer {secret}"}),
    "a cookie": lambda secret, _: _kong(headers={"cookie": f"session={secret}"}),
    "the query": lambda secret, _: _kong(querystring={"apikey": secret}),
    "the URI": lambda secret, _: _kong(uri=f"/orders?apikey={secret}", url=f"http://gw/orders?apikey={secret}"),
    "a URI with other names": lambda secret, _: _kong(uri=f"/orders?token={secret}"),
    "an accepted request": lambda secret, _: _kong(status=200, headers={"apikey": secret}),
    "the body": lambda secret, _: _kong(body=secret),
    "a record that cannot be mapped": lambda secret, _: json.dumps(
        {"request": {"headers": {"apikey": secret}}}
    ).encode(),
}


def test_none_of_ten_thousand_secrets_is_in_a_table_a_log_a_metric_or_a_page(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str], postgres_url: str
) -> None:
    plain, kong = kafka_topic(partitions=1), kafka_topic(partitions=1)
    site = Site(
        tmp_path,
        kafka_broker,
        postgres_url,
        plain,
        KAFKA__TOPICS=f"{plain},{kong}=kong",
        INGEST__MAX_REJECT_RATIO="1",
        LOG__LEVEL="debug",
    )
    places = [(plain, place) for place in CANONICAL.values()] + [(kong, place) for place in KONG.values()]
    records: dict[str, list[bytes]] = {plain: [], kong: []}
    for number in range(COUNT):
        topic, place = places[number % len(places)]
        records[topic].append(place(f"CANARY{number:05d}q", number))
    for topic, values in records.items():
        kafka_broker.produce(topic, values)
    elements = sum(map(len, records.values())) + 2 * sum(value.startswith(b"[") for value in records[plain])
    try:
        worker = site.worker("--role", "all")
        site.until(lambda: site.elements() >= elements, "all elements")
        assert site.elements() == elements
        tables = site.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
        assert len(tables) > 15
        assert _holding(site, tables, "acme"), "the search finds what is there"
        assert _holding(site, tables, "canary") == []
        for page in ("/metrics", "/", "/readyz", "/v1/rollovers", "/v1/rollovers/billing/decision", "/v1/usage"):
            assert "CANARY" not in worker.get(page)[1], page
        assert worker.child is not None
        assert "CANARY" not in worker.child.log.read_text(), "a log line holds a secret"
        fingerprinted = site.query("SELECT count(*) FROM v_rejects")[0][0]
        assert int(str(fingerprinted)) > COUNT / 4, "the rejects are there, without what they said"
    finally:
        site.close()


def _holding(site: Site, tables: list[tuple[object, ...]], text: str) -> list[object]:
    """Return the tables and views that have this text anywhere."""
    query = "SELECT count(*) FROM \"{}\" t WHERE t::text ILIKE '%{}%'"
    return [table for (table,) in tables if site.query(query.format(table, text))[0][0]]
