"""Dashboards are code: made from one source, whole, and free of what a reader would stumble over."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from monitor.adapters.metrics import ALL
from monitor.notify.guides import runbooks

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "dashboards"
FILES = sorted((FOLDER / "grafana").glob("*.json"))
BUILT_IN = {"__interval", "__rate_interval", "__range", "__url_time_range", "__all", "__value"}
VARIABLE = re.compile(r"\$(?:\{(\w+)(?:\.\w+)?\}|(?!__time)(\w+))")
OURS = re.compile(r"rollwatch_[a-z_]+")


def generator(name: str = "generate") -> ModuleType:
    found = importlib.util.spec_from_file_location(f"dashboards_{name}", FOLDER / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (each for each in dashboard["panels"] if each["type"] not in {"row", "text"})


def dashboards() -> list[Any]:
    return [pytest.param(json.loads(each.read_text("utf-8")), id=each.stem) for each in FILES]


def test_the_json_is_what_the_source_makes() -> None:
    for path, text in (generator().written() | generator("alerts").written()).items():
        assert path.read_text("utf-8") == text, f"run make dashboards: {path.name} is old"
    sources = {each.stem for each in (FOLDER / "source").glob("*.yaml")}
    assert {each.stem for each in FILES} == sources | {"runbooks"}


@pytest.mark.parametrize("dashboard", dashboards())
def test_every_panel_says_what_it_shows_in_which_unit_from_a_variable_datasource(dashboard: dict[str, Any]) -> None:
    assert dashboard["id"] is None
    assert dashboard["uid"].startswith("rollwatch-")
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] in {"${postgres}", "${prometheus}"}
        assert panel["targets"][0].get("rawSql") or panel["targets"][0].get("expr")


@pytest.mark.parametrize("dashboard", dashboards())
def test_no_two_panels_stand_on_each_other_and_none_beyond_the_edge(dashboard: dict[str, Any]) -> None:
    places = [each["gridPos"] for each in dashboard["panels"]]
    assert all(each["x"] + each["w"] <= 24 for each in places)
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def shelf() -> dict[str, Any]:
    """Return the dashboard that holds the runbooks."""
    found: dict[str, Any] = json.loads((FOLDER / "grafana" / "runbooks.json").read_text("utf-8"))
    return found


def test_a_panels_runbook_is_the_one_that_its_source_names() -> None:
    shown = {each["id"]: each["title"] for each in shelf()["panels"]}
    for path in FILES:
        source = FOLDER / "source" / f"{path.stem}.yaml"
        if not source.exists():
            continue
        rows = yaml.safe_load(source.read_text("utf-8"))["rows"]
        named = {each["title"]: each.get("runbook") for row in rows for each in row["panels"]}
        for panel in panels(json.loads(path.read_text("utf-8"))):
            led = [shown[int(each["url"].rpartition("=")[2])] for each in panel["links"] if each["title"] == "Runbook"]
            assert led == [named[panel["title"]]] * bool(named[panel["title"]])


def test_a_link_in_a_runbook_leads_to_another_or_away() -> None:
    for panel in shelf()["panels"]:
        for target in re.findall(r"\]\(([^)]*)\)", panel.get("options", {}).get("content", "")):
            assert target.startswith(("/d/rollwatch-runbooks", "https://")), target


@pytest.mark.parametrize("dashboard", dashboards())
def test_a_dashboard_asks_for_views_alone_and_begins_with_numbers(dashboard: dict[str, Any]) -> None:
    asked = [each["targets"][0].get("rawSql", "") for each in panels(dashboard)]
    asked += [each["target"]["rawSql"] for each in dashboard["annotations"]["list"]]
    asked += [each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    for sql in asked:
        names = re.findall(r"(?:FROM|JOIN)\s+(\w+)", re.sub(r"extract\(epoch FROM|DISTINCT FROM", "", sql))
        made_here = set(re.findall(r"(?:WITH|,)\s*(\w+) AS (?:MATERIALIZED )?\(", sql))
        assert all(name.startswith("v_") for name in set(names) - made_here), sql
    first = [each["type"] for each in dashboard["panels"]][1]
    assert first in {"stat", "text"}, "the answer first, its course below"


@pytest.mark.parametrize("dashboard", dashboards())
def test_every_variable_that_is_used_is_defined(dashboard: dict[str, Any]) -> None:
    defined = {each["name"] for each in dashboard["templating"]["list"]} | BUILT_IN
    used = {
        one or other for one, other in VARIABLE.findall(json.dumps({**dashboard, "panels": list(panels(dashboard))}))
    }
    assert used <= defined


@pytest.mark.parametrize("dashboard", dashboards())
def test_every_metric_exists_and_every_runbook_too(dashboard: dict[str, Any]) -> None:
    text = json.dumps(dashboard)
    known = {each.name for each in ALL}
    for panel in panels(dashboard):
        for metric in OURS.findall(panel["targets"][0].get("expr", "")):
            assert re.sub(r"_(bucket|count|sum)$", "", metric) in known | {metric if metric in known else ""}
    shown = {each["id"]: each["title"] for each in shelf()["panels"] if each["type"] == "text"}
    assert set(shown.values()) >= runbooks()
    linked = [int(each) for each in re.findall(r"/d/rollwatch-runbooks\?viewPanel=(\d+)", text)]
    assert set(linked) <= set(shown), "a link to a runbook that is not there"


def test_every_alert_rule_leads_to_a_runbook_and_asks_for_metrics_that_exist() -> None:
    known = {each.name for each in ALL}
    for name in ("rules.yaml", "alerts.yaml"):
        for group in yaml.safe_load((FOLDER / "prometheus" / name).read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                for metric in re.findall(r"(?<!:)\brollwatch_[a-z_0-9]+\b(?!:)", rule["expr"]):
                    assert re.sub(r"_(bucket|count|sum)$", "", metric) in known or metric in known
                if "alert" in rule:
                    panel = int(rule["annotations"]["runbook_url"].rpartition("=")[2])
                    assert {each["title"] for each in shelf()["panels"] if each["id"] == panel} <= runbooks()


def test_every_alert_that_prometheus_raises_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    tests = yaml.safe_load((FOLDER / "prometheus" / "alerts.test.yaml").read_text("utf-8"))["tests"]
    asked = [each for test in tests for each in test["alert_rule_test"]]
    for rule in rules:
        answers = [bool(each["exp_alerts"]) for each in asked if each["alertname"] == rule["alert"]]
        assert set(answers) == {True, False}, rule["alert"]


def test_grafana_raises_the_same_alerts_and_those_that_only_the_database_knows() -> None:
    folder = FOLDER / "provisioning"
    (group,) = yaml.safe_load((folder / "alerting" / "rollwatch.yaml").read_text("utf-8"))["groups"]
    sources = yaml.safe_load((folder / "datasources" / "rollwatch.yaml").read_text("utf-8"))["datasources"]
    provisioned = {each["uid"] for each in sources}
    known = {each.name for each in ALL}
    titles = []
    for rule in group["rules"]:
        titles.append(rule["title"])
        question, bound = rule["data"]
        assert question["datasourceUid"] in provisioned
        assert (bound["model"]["expression"], rule["condition"]) == (question["refId"], bound["refId"])
        for metric in OURS.findall(question["model"].get("expr", "")):
            assert metric in known
        for text in rule["annotations"].values():
            # The provisioner expands $NAME from the environment; a dollar of the template is written twice.
            assert "$" not in text.replace("$$", "")
    assert len(set(titles)) == len(titles)
    rules = yaml.safe_load((FOLDER / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    assert set(titles) - {each["alert"] for each in rules} == {"RollwatchStragglersNearDeadline"}


@pytest.mark.parametrize("dashboard", dashboards())
def test_grafanas_own_linter_finds_nothing_that_counts(dashboard: dict[str, Any]) -> None:
    """Its rules as far as they fit (the others are named in `.lint`, with reasons): it cannot be had by package."""
    assert dashboard["editable"] is False
    for variable in dashboard["templating"]["list"]:
        assert variable["type"] != "query" or variable["refresh"] == 2, "read again when the time range changes"
    for target in (each for panel in panels(dashboard) for each in panel["targets"]):
        expression = target.get("expr", "")
        counters = re.findall(r"\w+_total\b", expression)
        summed = re.findall(r"(?:rate|increase)\((\w+_total)", expression)
        assert counters == summed, expression
        assert set(re.findall(r"\brate\([^\[]*\[([^\]]+)\]", expression)) <= {"$__rate_interval"}, expression
