"""A gateway-made 401 or 403 is a key failure; an upstream's own is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.core.events import AuthEvent
from monitor.core.mapping import compile_mapping, fingerprint

PEPPER = b"pepper"
KONG: dict[str, Any] = {"started_at": 1779999999123, "request": {"method": "GET", "uri": "/a", "headers": {}}}
APISIX: dict[str, Any] = {"start_time": 1779999999123, "request": {"method": "GET", "uri": "/a", "headers": {}}}
ENVOY: dict[str, Any] = {"start_time": "2026-11-20T10:15:30.123Z", "path": "/a?apikey=s3cret-1", "method": "GET"}
TRAEFIK: dict[str, Any] = {"StartUTC": "2026-11-20T10:15:30.123456789Z", "RequestPath": "/a"}
NGINX: dict[str, Any] = {"msec": "1795169730.123", "request_uri": "/a?x=1", "hostname": "edge-1"}
AWS: dict[str, Any] = {"requestTime": "20/Nov/2026:10:15:30 +0000", "apiId": "a1", "httpMethod": "GET"}
TYK: dict[str, Any] = {"timestamp": "2026-11-20T10:15:30Z", "path": "/a", "api_key": "s3cret-1"}
UNKEY: dict[str, Any] = {"time": 1779999999123, "key_id": "k1", "external_id": "acme"}
SUBSCRIPTION = {
    "messageType": "DATA_MESSAGE",
    "logGroup": "g",
    "logEvents": [{"id": "1", "timestamp": 1, "message": json.dumps({**AWS, "status": "200", "apiKeyId": "k1"})}],
}

CASES: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("kong", {**KONG, "source": "kong", "response": {"status": 401}}, "failure", "missing_credential", "no key shown"),
    ("kong", {**KONG, "source": "upstream", "response": {"status": 401}}, "success", "ok", "the service's own 401"),
    ("kong", {**KONG, "source": "kong", "response": {"status": 403}}, "failure", "forbidden", "an ACL"),
    (
        "kong",
        {**KONG, "source": "kong", "response": {"status": 429}},
        "success",
        "rate_limited",
        "accepted, not served",
    ),
    ("kong", {**KONG, "source": "upstream", "response": {"status": 500}}, "success", "ok", "the service failed"),
    ("kong", {**KONG, "source": "kong", "response": {"status": 503}}, "success", "gateway_error", "no upstream"),
    (
        "kong",
        {
            **KONG,
            "source": "upstream",
            "consumer": {"username": "anonymous"},
            "request": {"headers": {"apikey": "s3cret-1"}},
            "response": {"status": 200},
        },
        "failure",
        "unknown_credential",
        "let in as anonymous, with a key that nobody knows",
    ),
    ("kong", {**KONG, "latencies": {"proxy": -1}, "response": {"status": 401}}, "failure", "missing_credential", "2.x"),
    ("kong", {**KONG, "latencies": {"proxy": 12}, "response": {"status": 401}}, "success", "ok", "2.x, proxied"),
    ("apisix", {**APISIX, "upstream": "10.0.0.1:80", "response": {"status": 401}}, "success", "ok", "proxied"),
    ("apisix", {**APISIX, "upstream": "", "response": {"status": 401}}, "failure", "missing_credential", "not proxied"),
    ("apisix", {**APISIX, "response": {"status": 403}}, "failure", "forbidden", "consumer-restriction"),
    ("envoy", {**ENVOY, "response_code": "401", "response_code_details": "via_upstream"}, "success", "ok", "proxied"),
    (
        "envoy",
        {**ENVOY, "response_code": 401, "response_code_details": "ext_authz_denied"},
        "failure",
        "unknown_credential",
        "ext_authz, and the key stands in the query",
    ),
    (
        "envoy",
        {**ENVOY, "response_code": 403, "response_code_details": "rbac_access_denied_matched_policy[none]"},
        "failure",
        "forbidden",
        "RBAC",
    ),
    (
        "envoy",
        {**ENVOY, "response_code": 401, "response_code_details": "jwt_authn_access_denied{Jwt_is_expired}"},
        "failure",
        "expired",
        "jwt_authn",
    ),
    ("envoy", {**ENVOY, "response_code": 0}, "success", "gateway_error", "the client left"),
    ("traefik", {**TRAEFIK, "DownstreamStatus": 401, "OriginStatus": 401}, "success", "ok", "the service's own"),
    ("traefik", {**TRAEFIK, "DownstreamStatus": 403, "OriginStatus": 0}, "failure", "forbidden", "a middleware's"),
    ("nginx", {**NGINX, "status": "401", "upstream_status": "401"}, "success", "ok", "the service's own"),
    ("nginx", {**NGINX, "status": "401", "upstream_status": "-"}, "failure", "missing_credential", "auth_request"),
    ("nginx", {**NGINX, "status": "504", "upstream_status": "504"}, "success", "gateway_error", "a time-out"),
    ("aws_apigw", {**AWS, "status": "403", "errorResponseType": "ACCESS_DENIED"}, "failure", "forbidden", "authorizer"),
    ("aws_apigw", {**AWS, "status": "429", "errorResponseType": "THROTTLED"}, "success", "rate_limited", "usage plan"),
    ("aws_apigw", {**AWS, "status": "401", "integrationStatus": "401"}, "success", "ok", "the integration's own"),
    ("aws_apigw", SUBSCRIPTION, "success", "ok", "inside of a CloudWatch subscription envelope"),
    ("tyk", {**TYK, "response_code": 403, "latency": {"upstream": 12}}, "success", "ok", "the service's own"),
    (
        "tyk",
        {**TYK, "response_code": 403, "latency": {"upstream": 0}},
        "failure",
        "unknown_credential",
        "key not found",
    ),
    ("unkey", {**UNKEY, "outcome": "VALID"}, "success", "ok", "verified"),
    ("unkey", {**UNKEY, "outcome": "INSUFFICIENT_CREDITS"}, "success", "rate_limited", "accepted, not served"),
    ("unkey", {**UNKEY, "outcome": "NOT_FOUND"}, "failure", "unknown_credential", "the API's own word"),
]


@pytest.mark.parametrize(
    ("preset", "record", "outcome", "reason", "why"), CASES, ids=[f"{c[0]}: {c[4]}" for c in CASES]
)
def test_outcomes_tell_the_gateways_no_from_the_services(
    preset: str, record: dict[str, Any], outcome: str, reason: str, why: str
) -> None:
    (event,) = compile_mapping(preset, pepper=PEPPER, gateway="topic").map_value(json.dumps(record).encode(), None)
    assert isinstance(event, AuthEvent), why
    assert (event.outcome, event.reason) == (outcome, reason), why
    assert "s3cret-1" not in str(event)
    if event.reason == "unknown_credential" and preset != "unkey":
        assert event.credential == fingerprint(PEPPER, "s3cret-1")
