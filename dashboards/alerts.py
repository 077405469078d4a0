"""Writes the alert rules from `alerts.yaml`, for Prometheus and for Grafana: `make dashboards`.

Where people reach Grafana, which holds the runbooks: `--grafana https://grafana.example`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
GRAFANA = "http://localhost:3000"
_PLACE = re.compile(r"\{(\w+)\}")
_SHOWN = {"value": "{value}", "duration": "{value} | humanizeDuration", "percent": "{value} | humanizePercentage"}
_HEAD = "# Made from alerts.yaml by alerts.py (make dashboards); do not edit.\n"


def _runbooks() -> dict[str, int]:
    """Return the panel of each runbook in the dashboard that `generate.py` has made of them."""
    shelf = json.loads((HERE / "grafana" / "runbooks.json").read_text("utf-8"))
    return {each["title"]: each["id"] for each in shelf["panels"]}


def _annotations(rule: Mapping[str, Any], grafana: str, *, value: str) -> dict[str, str]:
    def shown(found: re.Match[str]) -> str:
        name = found[1]
        return "{{ " + (_SHOWN[name].format(value=value) if name in _SHOWN else f"$labels.{name}") + " }}"

    return {
        "summary": _PLACE.sub(shown, rule["summary"]),
        "runbook_url": f"{grafana}/d/rollwatch-runbooks?viewPanel={_runbooks()[rule['runbook']]}",
        "dashboard_url": f"{grafana}/d/{rule['dashboard']}",
    }


def for_prometheus(rules: list[dict[str, Any]], grafana: str = GRAFANA) -> dict[str, Any]:
    """Return Prometheus' rule file; what only the database knows is not among them."""
    made = []
    for rule in rules:
        if "prometheus" in rule:
            each: dict[str, Any] = {"alert": rule["alert"], "expr": f"({rule['prometheus']}) > {rule['above']}"}
            if "for" in rule:
                each["for"] = rule["for"]
            each["labels"] = {"severity": rule["severity"]}
            each["annotations"] = _annotations(rule, grafana, value="$value")
            made.append(each)
    return {"groups": [{"name": "rollwatch", "rules": made}]}


def for_grafana(rules: list[dict[str, Any]], grafana: str = GRAFANA) -> dict[str, Any]:
    """Return Grafana's provisioning file; in there a dollar is written twice."""
    group = {"orgId": 1, "name": "rollwatch", "folder": "Rollwatch", "interval": "1m"}
    return {"apiVersion": 1, "groups": [group | {"rules": [_grafana_rule(each, grafana) for each in rules]}]}


def _grafana_rule(rule: Mapping[str, Any], grafana: str) -> dict[str, Any]:
    if "sql" in rule:
        source = "rollwatch-postgres"
        asked: dict[str, Any] = {"format": "table", "rawQuery": True, "rawSql": rule["sql"].strip()}
    else:
        source, asked = "rollwatch-prometheus", {"expr": rule["prometheus"], "instant": True, "range": False}
    bound = {"type": "threshold", "expression": "A", "conditions": [_condition(rule["above"])]}
    annotations = _annotations(rule, grafana, value="$values.A.Value")
    return {
        "uid": re.sub(r"(?<!^)([A-Z])", r"-\1", rule["alert"]).lower(),
        "title": rule["alert"],
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": source,
                "model": {"refId": "A", **asked},
            },
            {"refId": "C", "datasourceUid": "__expr__", "model": {"refId": "C", **bound}},
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": rule.get("for", "0s"),
        "labels": {"severity": rule["severity"]},
        "annotations": {name: text.replace("$", "$$") for name, text in annotations.items()},
        "isPaused": False,
    }


def _condition(above: float) -> dict[str, Any]:
    return {"evaluator": {"type": "gt", "params": [above]}}


def written(grafana: str = GRAFANA, out: Path = HERE) -> dict[Path, str]:
    """Return both files and what must stand in them."""
    rules = yaml.safe_load((HERE / "alerts.yaml").read_text("utf-8"))
    return {
        out / "prometheus" / "alerts.yaml": _HEAD + _yaml(for_prometheus(rules, grafana)),
        out / "provisioning" / "alerting" / "rollwatch.yaml": _HEAD + _yaml(for_grafana(rules, grafana)),
    }


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--grafana", default=GRAFANA, help="where people reach Grafana")
    asked.add_argument("--out", type=Path, default=HERE, help="the folder to write to")
    given = asked.parse_args()
    for target, content in written(given.grafana.rstrip("/"), given.out).items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, "utf-8")
        print(target.name)  # noqa: T201 - a script
