"""Writes Grafana's JSON from `source/*.yaml` and the runbooks: `make dashboards`.

Classic dashboards, the widest form: they provision in Grafana 11 to 13. Datasources are variables, never fixed uids.
Where your status page is: `--page https://rollwatch.example/`; into another folder: `--out FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

HERE = Path(__file__).parent
RUNBOOKS = HERE.parent / "docs" / "runbooks"
PAGE = "http://localhost:8780/"
SCHEMA_VERSION = 41
COLUMNS = 24
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
_STARTS = """
SELECT started_at AS time, rollover || ' begins: v' || from_version || ' to v' || to_version AS text, state AS tags
FROM v_rollovers WHERE $__timeFilter(started_at)
"""
_STEPS = """
SELECT at AS time, rollover || ': ' || from_state || ' to ' || to_state AS text, to_state AS tags
FROM v_steps WHERE $__timeFilter(at)
"""
_INCIDENTS = """
SELECT opened_at AS time, coalesce(closed_at, now()) AS timeend, key || ' v' || version || ': ' || cause AS text,
       severity AS tags
FROM v_incidents WHERE $__timeFilter(opened_at)
"""
_DECISIONS = """
SELECT evaluated_at AS time, rollover || ': ' || decision AS text, decision AS tags FROM (
  SELECT rollover, decision, evaluated_at,
         lag(decision) OVER (PARTITION BY rollover ORDER BY evaluated_at) AS before
  FROM v_decisions WHERE $__timeFilter(evaluated_at)
) d WHERE before IS DISTINCT FROM decision
"""
ANNOTATIONS = {
    "starts": ("Rollovers begin", "blue", _STARTS, ""),
    "steps": ("Steps", "purple", _STEPS, ""),
    "incidents": ("Incidents", "red", _INCIDENTS, " AND key = '$key'"),
    "decisions": ("Decisions", "green", _DECISIONS, ""),
}
VERDICTS = {"GO": "green", "NO_GO": "red", "UNKNOWN": "orange"}
LINKS = {
    "rollover": ("Open this rollover", "/d/rollwatch-rollover?var-rollover=${__value.raw}&${__url_time_range}"),
    "page": ("On the status page", "${page}rollovers/${__value.raw}"),
}
UNITS = {
    "ago": "dateTimeFromNow",
    "time": "dateTimeAsIso",
    "share": "percentunit",
    "percent": "percent",
    "seconds": "s",
    "count": "short",
}


def dashboard(source: Mapping[str, Any], *, page: str = PAGE) -> dict[str, Any]:
    """Return Grafana's JSON of one source document."""
    links = [
        {
            **_link("Rollwatch", ""),
            "type": "dashboards",
            "tags": ["rollwatch"],
            "asDropdown": True,
            "includeVars": True,
            "keepTime": True,
        },
        {**_link("Status page", "${page}"), "icon": "external link", "targetBlank": True},
    ]
    one = any(each["name"] == "rollover" for each in source.get("variables", []))
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
        "time": {"from": source.get("from", "now-7d"), "to": "now"},
        "timezone": "utc",
        "links": links,
        "annotations": {"list": [_annotation(each, one=one) for each in source.get("annotations", [])]},
        "templating": {"list": list(_variables(source, page))},
        "panels": list(_panels(source)),
    }


def _link(title: str, url: str) -> dict[str, Any]:
    """Return a dashboard's link with every field that Grafana's schema asks for."""
    return {
        "title": title,
        "type": "link",
        "url": url,
        "icon": "",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": False,
    }


def _variables(source: Mapping[str, Any], page: str) -> Iterator[dict[str, Any]]:
    for name, label, kind in (
        ("postgres", "PostgreSQL", POSTGRES["type"]),
        ("prometheus", "Prometheus", PROMETHEUS["type"]),
    ):
        if any(kind == each["datasource"]["type"] for each in _panels(source) if "datasource" in each):
            yield {"type": "datasource", "name": name, "label": label, "query": kind, "hide": 0, "refresh": 1}
    chosen = {"text": page, "value": page}
    yield {"type": "constant", "name": "page", "label": "Status page", "query": page, "current": chosen, "hide": 2}
    if "$step" in json.dumps(source):
        steps = source["steps"]
        yield {
            "type": "interval",
            "name": "step",
            "label": "Step",
            "description": "Width of a point. Outside of running rollovers traffic is kept by the hour.",
            "query": ",".join(steps),
            "options": [{"text": each, "value": each, "selected": each == "1h"} for each in steps],
            "current": {"text": "1h", "value": "1h"},
            "hide": 0,
        }
    for each in source.get("variables", []):
        everything = bool(each.get("all"))
        made = {
            "type": "query",
            "name": each["name"],
            "label": each["label"],
            "datasource": POSTGRES,
            "query": each["sql"],
            "refresh": 2,
            "sort": 1,
            "multi": everything,
            "includeAll": everything,
            "hide": 2 if each.get("hidden") else 0,
        }
        # `All` is a value of its own: a query then need not look at the column at all.
        chosen = {"current": {"text": ["All"], "value": ["$__all"]}, "allValue": "'(all)'"}
        yield made | (chosen if everything else {})


def _annotation(name: str, *, one: bool) -> dict[str, Any]:
    title, color, sql, of_key = ANNOTATIONS[name]
    if one:
        sql = sql.replace("WHERE $__", (of_key.replace(" AND", "WHERE") or "WHERE rollover = '$rollover'") + " AND $__")
    return {
        "name": title,
        "datasource": POSTGRES,
        "enable": True,
        "iconColor": color,
        "target": {"format": "table", "rawQuery": True, "rawSql": sql.strip(), "refId": "A"},
    }


def _panels(source: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    number = y = 0
    for row in source["rows"]:
        number += 1
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row["title"], "collapsed": False, "gridPos": place, "panels": []}
        y += 1
        x = tallest = 0
        for each in row["panels"]:
            height = each.get("height", 4 if each["kind"] == "stat" else 8)
            if x + each["width"] > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield _panel(each, each.get("id", number), {"h": height, "w": each["width"], "x": x, "y": y})
            x, tallest = x + each["width"], max(tallest, height)
        y += tallest


def _panel(each: Mapping[str, Any], number: int, place: Mapping[str, int]) -> dict[str, Any]:
    shared = {"id": number, "type": each["kind"], "title": each["title"], "gridPos": place}
    if each["kind"] == "text":
        return shared | {"options": {"mode": "markdown", "content": each["markdown"]}}
    links = []
    if "runbook" in each:
        links.append({**_link("Runbook", runbook_url(each["runbook"])), "targetBlank": True})
    return shared | {
        "description": each["description"],
        "datasource": POSTGRES if "sql" in each else PROMETHEUS,
        "links": links,
        "targets": [_target(each)],
        "fieldConfig": {"defaults": _defaults(each), "overrides": list(_overrides(each))},
        "options": _options(each),
    }


def _target(each: Mapping[str, Any]) -> dict[str, Any]:
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


def _defaults(each: Mapping[str, Any]) -> dict[str, Any]:
    steps = each.get("thresholds", [[each.get("color", "blue"), None]])
    made: dict[str, Any] = {
        "unit": each["unit"],
        "color": {"mode": "palette-classic" if each["kind"] == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]},
    }
    if each.get("verdict"):
        made["mappings"] = _verdicts()
    if each["kind"] == "stat":
        made["noValue"] = each.get("none", "-")
    if "link" in each:
        title, url = LINKS[each["link"]]
        made["links"] = [{"title": title, "url": url}]
    if each["kind"] == "timeseries":
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if each.get("stack") else 5,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if each.get("stack") else "none", "group": "A"},
        }
    return made


def _verdicts() -> list[dict[str, Any]]:
    options = {name: {"color": color, "index": at} for at, (name, color) in enumerate(VERDICTS.items())}
    return [{"type": "value", "options": options}]


def _overrides(each: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what single columns of a table are: a unit, a verdict, a link."""
    for column, what in each.get("columns", {}).items():
        properties: list[dict[str, Any]] = []
        if what == "verdict":
            properties = [
                {"id": "mappings", "value": _verdicts()},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ]
        elif what in UNITS:
            properties = [{"id": "unit", "value": UNITS[what]}]
        else:
            chosen = [LINKS[name] for name in what.split("+")]
            properties = [{"id": "links", "value": [{"title": title, "url": url} for title, url in chosen]}]
        yield {"matcher": {"id": "byName", "options": column}, "properties": properties}


def _options(each: Mapping[str, Any]) -> dict[str, Any]:
    if each["kind"] == "stat":
        fields = "/.*/" if each.get("text_field") else ""
        return {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": fields, "values": False},
            "showPercentChange": False,
            "textMode": each.get("text", "auto"),
            "wideLayout": True,
        }
    if each["kind"] == "table":
        return {"frameIndex": 0, "showHeader": True, "cellHeight": "sm"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def runbook_names() -> list[str]:
    """Return the names of all runbooks."""
    return sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README")


def runbook_url(name: str) -> str:
    """Return where a runbook stands in Grafana: a panel shown alone."""
    return f"/d/rollwatch-runbooks?viewPanel={_runbook_id(name)}"


def _runbook_id(name: str) -> int:
    """Return the number of a runbook's panel: its name's, so that links stay right when runbooks come and go."""
    return 1_000 + crc32(name.encode()) % 100_000


def runbooks() -> dict[str, Any]:
    """Return the source of a dashboard that holds every runbook: whoever is woken needs no other page."""

    def text(name: str) -> str:
        read = (RUNBOOKS / f"{name}.md").read_text("utf-8")
        read = re.sub(
            r"\]\(([a-z-]+)\.md(?:#[^)]*)?\)",
            lambda found: f"]({runbook_url(found[1])})" if found[1] in runbook_names() else "](/d/rollwatch-runbooks)",
            read,
        )
        # Pages beyond the runbooks are in the repository only: their names stay, the links would lead nowhere.
        return re.sub(r"\[([^]]+)\]\((?!/d/|https?://)[^)]*\)", r"\1", read)

    return {
        "uid": "rollwatch-runbooks",
        "title": "Rollwatch / Runbooks",
        "description": "What each alert and each cause means, and what to do; alerts and panels lead here.",
        "rows": [
            {
                "title": "Runbooks",
                "panels": [
                    {
                        "kind": "text",
                        "id": _runbook_id(name),
                        "title": name,
                        "width": 12,
                        "height": 16,
                        "markdown": text(name),
                    }
                    for name in runbook_names()
                ],
            }
        ],
    }


def written(page: str = PAGE, out: Path = HERE / "grafana") -> dict[Path, str]:
    """Return every dashboard's file and what must stand in it."""
    sources = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted((HERE / "source").glob("*.yaml"))}
    kept = HERE / "grafana" / "runbooks.json"
    if RUNBOOKS.is_dir():
        sources["runbooks"] = runbooks()
        kept_as_it_is = {}
    else:  # in the installed package, which does not carry the pages that they were made from
        kept_as_it_is = {out / kept.name: kept.read_text("utf-8").replace(PAGE, page)}
    return kept_as_it_is | {
        out / f"{name}.json": json.dumps(dashboard(each, page=page), indent=1, ensure_ascii=False) + "\n"
        for name, each in sources.items()
    }


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--page", default=PAGE, help="where the status page is")
    asked.add_argument("--out", type=Path, default=HERE / "grafana", help="the folder to write to")
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for target, content in written(given.page, given.out).items():
        target.write_text(content, "utf-8")
        print(target.name)  # noqa: T201 - a script
