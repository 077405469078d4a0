"""Writes Grafana's JSON from `source/*.yaml`, which is what people edit: `python dashboards/generate.py`.

Classic dashboards, the widest form: they provision in Grafana 11 to 13. Datasources are variables, never fixed uids.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SCHEMA_VERSION = 41
COLUMNS = 24
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
RUNBOOKS = "${runbooks}"
_INCIDENTS = """
SELECT opened_at AS time, closed_at AS timeend, key || ' v' || version || ': ' || cause AS text, severity AS tags
FROM v_incidents WHERE $__timeFilter(opened_at)
"""
_GO = """
SELECT evaluated_at AS time, rollover || ' may be retired' AS text, 'GO' AS tags
FROM v_decisions WHERE decision = 'GO' AND $__timeFilter(evaluated_at)
"""
ANNOTATIONS = {"incidents": ("Incidents", "red", _INCIDENTS.strip()), "go": ("GO", "green", _GO.strip())}


def dashboard(source: dict[str, Any]) -> dict[str, Any]:
    """Return Grafana's JSON of one source document."""
    return {
        "id": None,
        "uid": source["uid"],
        "title": source["title"],
        "description": source["description"],
        "tags": ["rollwatch"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-7d", "to": "now"},
        "timezone": "utc",
        "links": [
            {
                "type": "dashboards",
                "tags": ["rollwatch"],
                "title": "Rollwatch",
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            },
            {"type": "link", "title": "Status page", "url": "${page}", "icon": "external link", "targetBlank": True},
        ],
        "annotations": {"list": [_annotation(each) for each in source.get("annotations", [])]},
        "templating": {"list": _variables(source)},
        "panels": _panels(source),
    }


def _variables(source: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"type": "datasource", "name": name, "label": label, "query": kind, "current": {}, "hide": 0, "refresh": 1}
        for name, label, kind in (
            ("postgres", "PostgreSQL", POSTGRES["type"]),
            ("prometheus", "Prometheus", PROMETHEUS["type"]),
        )
    ]
    made += [
        {
            "type": "constant",
            "name": name,
            "label": label,
            "query": value,
            "current": {"text": value, "value": value},
            "hide": 2,
        }
        for name, label, value in (
            ("page", "Status page", "http://localhost:8780/"),
            ("runbooks", "Runbooks", "http://localhost:8780/runbooks"),
        )
    ]
    for each in source.get("variables", []):
        everything = bool(each.get("all"))
        made.append(
            {
                "type": "query",
                "name": each["name"],
                "label": each["label"],
                "datasource": POSTGRES,
                "query": each["sql"],
                "refresh": 2,
                "sort": 1,
                "multi": everything,
                "includeAll": everything,
                "current": {"text": ["All"], "value": ["$__all"]} if everything else {},
                "hide": 0,
            }
        )
    return made


def _annotation(name: str) -> dict[str, Any]:
    title, color, sql = ANNOTATIONS[name]
    return {
        "name": title,
        "datasource": POSTGRES,
        "enable": True,
        "iconColor": color,
        "target": {"format": "table", "rawQuery": True, "rawSql": sql, "refId": "A"},
    }


def _panels(source: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    y = 0
    for row in source["rows"]:
        made.append(
            {
                "id": len(made) + 1,
                "type": "row",
                "title": row["title"],
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        x = tallest = 0
        for each in row["panels"]:
            height = each.get("height", 4 if each["kind"] == "stat" else 8)
            if x + each["width"] > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            made.append(_panel(each, len(made) + 1, {"h": height, "w": each["width"], "x": x, "y": y}))
            x, tallest = x + each["width"], max(tallest, height)
        y += tallest
    return made


def _panel(each: dict[str, Any], number: int, place: dict[str, int]) -> dict[str, Any]:
    links = []
    if "runbook" in each:
        links.append({"title": "Runbook", "url": f"{RUNBOOKS}/{each['runbook']}.md", "targetBlank": True})
    if each.get("link") == "rollover":
        links.append({"title": "Rollover", "url": "/d/rollwatch-rollover?${__url_time_range}"})
    return {
        "id": number,
        "type": each["kind"],
        "title": each["title"],
        "description": each["description"],
        "datasource": POSTGRES if "sql" in each else PROMETHEUS,
        "gridPos": place,
        "links": links,
        "targets": [_target(each)],
        "fieldConfig": {"defaults": _defaults(each), "overrides": []},
        "options": _options(each),
    }


def _target(each: dict[str, Any]) -> dict[str, Any]:
    if "sql" in each:
        return {
            "refId": "A",
            "datasource": POSTGRES,
            "format": "time_series" if each["kind"] == "timeseries" else "table",
            "rawQuery": True,
            "rawSql": each["sql"].strip(),
        }
    return {
        "refId": "A",
        "datasource": PROMETHEUS,
        "expr": each["prometheus"],
        "legendFormat": each["legend"],
        "instant": each["kind"] == "stat",
        "range": each["kind"] != "stat",
    }


def _defaults(each: dict[str, Any]) -> dict[str, Any]:
    steps = each.get("thresholds", [[each.get("color", "blue"), None]])
    made: dict[str, Any] = {
        "unit": each["unit"],
        "color": {"mode": "palette-classic" if each["kind"] == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]},
    }
    if each["kind"] == "timeseries":
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if each.get("stack") else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if each.get("stack") else "none", "group": "A"},
        }
    return made


def _options(each: dict[str, Any]) -> dict[str, Any]:
    if each["kind"] == "stat":
        return {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": each.get("text", "auto"),
            "wideLayout": True,
        }
    if each["kind"] == "table":
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _text(path: Path) -> str:
    return json.dumps(dashboard(yaml.safe_load(path.read_text("utf-8"))), indent=1) + "\n"


def written() -> dict[Path, str]:
    """Return every dashboard's file and what must stand in it."""
    return {HERE / "grafana" / f"{path.stem}.json": _text(path) for path in sorted((HERE / "source").glob("*.yaml"))}


if __name__ == "__main__":
    for target, text in written().items():
        target.write_text(text, "utf-8")
        print(target.name)  # noqa: T201 - a script
