"""The interface keeps what its OpenAPI description promises, on inputs that nobody thought of."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from monitor.api.app import create_api
from monitor.api.deps import Deps
from monitor.ports import Scope
from tests.unit.api.world import Api

# Schemathesis' own pytest plugin does not run on this pytest; its strategies and checks do.
DESCRIBED = schemathesis.openapi.from_asgi("/openapi.json", create_api(Deps(store=None, judge=None)))  # type: ignore[arg-type] # it only describes itself
LABELS = [each.ok().label for each in DESCRIBED.get_all_operations()]


@pytest.fixture(scope="module")
def api() -> Api:
    """A filled daemon."""
    return Api()


@pytest.mark.parametrize("label", LABELS)
def test_every_route_answers_as_described(api: Api, label: str) -> None:
    operation = next(each.ok() for each in DESCRIBED.get_all_operations() if each.ok().label == label)

    @given(case=operation.as_strategy())
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def holds(case: Any) -> None:
        token = api.tokens[Scope.ADMIN]
        answer = case.call(app=api.client.app, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code != 500, answer.text
        if answer.status_code != 401:  # a generated header may have replaced ours
            case.validate_response(answer, checks=[response_schema_conformance, status_code_conformance])

    holds()
