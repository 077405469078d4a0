"""Shapes that gateways and shippers write, beyond the sample files: what each becomes, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.core.events import AuthEvent
from monitor.core.mapping import compile_mapping, fingerprint

PEPPER = b"pepper"
KEY = "s3cret-key-77"
FP = fingerprint(PEPPER, KEY)
T_MS = 1779999999123
KONG_401: dict[str, Any] = {
    "started_at": T_MS,
    "source": "kong",
    "request": {"method": "GET", "uri": f"/a?apikey={KEY}", "headers": {"user-agent": "acme-sync/1.4 (linux)"}},
    "response": {"status": 401},
}


def otel(attributes: dict[str, Any], resource: dict[str, str]) -> dict[str, Any]:
    def pairs(named: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"key": key, "value": {"stringValue": str(value)}} for key, value in named.items()]

    record = {"timeUnixNano": str(T_MS * 10**6), "body": {"stringValue": "a line"}, "attributes": pairs(attributes)}
    return {
        "resourceLogs": [
            {"resource": {"attributes": pairs(resource)}, "scopeLogs": [{"scope": {}, "logRecords": [record, record]}]}
        ]
    }


SHAPES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "data" / "gateway_shapes.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("shape", SHAPES, ids=[each["why"] for each in SHAPES])
def test_a_record_of_this_shape_becomes_this_event(shape: dict[str, Any]) -> None:
    mapping = compile_mapping(shape["preset"], pepper=PEPPER, gateway="topic")
    (event,) = mapping.map_value(json.dumps(shape["record"]).encode(), None)
    assert isinstance(event, AuthEvent), event
    expected = {name: FP if value == "FINGERPRINT" else value for name, value in shape["becomes"].items()}
    assert {name: getattr(event, name) for name in expected} == expected
    assert KEY not in str(event)


def test_open_telemetry_batches_carry_their_resource_into_each_record() -> None:
    batch = otel(
        {"response_code": 401, "response_code_details": "unkonwn_api_key", "path": f"/a?key={KEY}", "method": "GET"},
        {"gateway": "edge-1", "cloud.region": "eu-1"},
    )
    events = compile_mapping("envoy", pepper=PEPPER, gateway="topic").map_value(json.dumps(batch).encode(), None)
    assert len(events) == 2
    for event in events:
        assert isinstance(event, AuthEvent)
        assert (event.ts_ms, event.credential, event.gateway, event.region) == (T_MS, FP, "edge-1", "eu-1")


def test_a_secret_that_would_be_cut_in_two_is_recognised_before_the_cut() -> None:
    record = {**KONG_401, "consumer": {"username": "x" * 230 + KEY + "y" * 100}}
    (event,) = compile_mapping("kong", pepper=PEPPER, gateway="topic").map_value(json.dumps(record).encode(), None)
    assert isinstance(event, AuthEvent)
    assert event.client is not None
    assert len(event.client) <= 256
    assert KEY[:6] not in event.client


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[error] 7#0: no live upstreams", "missing_field"),
        ('{"started_at": 17', "not_json"),
        ("starting worker process 7", "missing_field"),
    ],
)
def test_a_line_that_is_no_record_is_rejected_for_what_it_is(line: str, reason: str) -> None:
    value = json.dumps({"log": line, "stream": "stderr"}).encode()
    (reject,) = compile_mapping("kong", pepper=PEPPER, gateway="topic").map_value(value, None)
    assert not isinstance(reject, AuthEvent)
    assert reject.reason == reason


def test_a_route_key_of_an_http_api_is_a_path() -> None:
    record = {
        "requestId": "r",
        "requestTime": "28/May/2026:20:26:39 +0000",
        "httpMethod": "GET",
        "routeKey": "GET /orders",
        "status": "200",
    }
    for key, route in (("GET /orders", "/orders"), ("ANY /v1/{proxy+}", "/v1/{proxy+}"), ("$default", "$default")):
        (made,) = compile_mapping("aws_apigw", pepper=b"p", gateway="g").map_value(
            json.dumps(record | {"routeKey": key}).encode(), None
        )
        assert isinstance(made, AuthEvent)
        assert made.route == route
