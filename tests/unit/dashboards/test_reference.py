"""The reference page on dashboards is made from them: `ROLLWATCH_TEST_WRITE=1 pytest tests/unit/dashboards`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import yaml

from monitor.adapters.sql.panel_views import panel_view_statements
from tests.unit.dashboards.test_dashboards import FILES, FOLDER, ROOT, panels

PAGE = ROOT / "docs" / "reference" / "dashboards.md"
_HEAD = """\
<!-- made from the dashboards by tests/unit/dashboards; do not edit -->

# Dashboards and alert rules

Everything is in `dashboards/`, and in the installed package as `monitor/_dashboards`. It needs Grafana 11 to 13 with
its own PostgreSQL and Prometheus datasources, and no plugin.

## Bringing them into your Grafana

1. Make a role that may read the views and nothing else: `docker/postgres/reader.sql` (again after each upgrade).
2. Provision the folder: `provisioning/` into `/etc/grafana/provisioning`, `grafana/` where its
   `dashboards/rollwatch.yaml` says. The environment gives `ROLLWATCH_DB_ADDRESS`, `ROLLWATCH_READER_PASSWORD` and
   `ROLLWATCH_PROMETHEUS_URL`. Or import the JSON by hand: datasources are variables, whatever yours are called.
3. Say where your status page and your Grafana are, for the links:
   `python dashboards/generate.py --page https://rollwatch.example/ --out FOLDER` and
   `python dashboards/alerts.py --grafana https://grafana.example --out FOLDER`.
4. Prometheus: `rule_files` on `prometheus/rules.yaml` and `prometheus/alerts.yaml`, job name `rollwatch`. Take the
   alerts of Prometheus **or** those of Grafana (`provisioning/alerting`), or you are told twice.

Change them in `source/*.yaml` and `alerts.yaml`; `make dashboards` writes the rest and tries it: every query on a real
PostgreSQL with no, one and many rows, every expression on a real Prometheus, the JSON against Grafana's own types, the
rules by `promtool`. `python benchmarks/dashboards.py` measures every query on a hundred million events' worth of
aggregates.
"""


def page() -> str:
    """Return what must stand in the page."""
    return _HEAD + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield ""
    yield "## Panels"
    for path in FILES:
        dashboard = json.loads(path.read_text("utf-8"))
        yield ""
        yield f"### {dashboard['title'].removeprefix('Rollwatch / ')}"
        yield ""
        yield dashboard["description"]
        if path.stem == "runbooks":
            continue
        yield ""
        yield "| panel | shows | from |"
        yield "|---|---|---|"
        for each in panels(dashboard):
            target = each["targets"][0]
            asked = target.get("rawSql") or target["expr"]
            names = sorted(set(re.findall(r"\bv_\w+|\brollwatch_\w+|\bprocess_\w+", asked)))
            yield f"| {each['title']} | {each['description']} | {', '.join(f'`{name}`' for name in names)} |"
        notes = [f"{each['name'].lower()}" for each in dashboard["annotations"]["list"]]
        if notes:
            yield ""
            yield f"Annotations: {', '.join(notes)}."
    yield ""
    yield "## Alert rules"
    yield ""
    yield "| alert | severity | says | runbook |"
    yield "|---|---|---|---|"
    for rule in yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8")):
        runbook = f"[{rule['runbook']}](../runbooks/{rule['runbook']}.md)"
        yield f"| `{rule['alert']}` | {rule['severity']} | {rule['summary']} | {runbook} |"
    yield ""
    yield "## Views beside the contract's"
    yield ""
    yield "For dashboards; they may gain columns. Times are `timestamptz` on PostgreSQL, ISO 8601 UTC text on SQLite."
    yield ""
    yield "| view | columns |"
    yield "|---|---|"
    for name, columns in sorted(_views()):
        yield f"| `{name}` | {', '.join(f'`{each}`' for each in columns)} |"


def _views() -> Iterator[tuple[str, list[str]]]:
    for statement in panel_view_statements("S({})".format, "M({})".format, sqlite=False):
        name, _, rest = statement.partition("CREATE VIEW ")[2].partition(" AS\nSELECT ")
        selected = re.split(r"\nFROM | FROM (?!now)", rest)[0]
        while (flat := re.sub(r"\([^()]*\)", "", selected)) != selected:
            selected = flat
        yield name, [re.split(r"\bAS\s+|\s+", each.strip())[-1] for each in selected.split(",")]


def test_the_reference_page_says_what_the_dashboards_hold() -> None:
    if os.environ.get("ROLLWATCH_TEST_WRITE"):
        PAGE.write_text(page(), "utf-8")
    assert PAGE.read_text("utf-8") == page(), "ROLLWATCH_TEST_WRITE=1 pytest tests/unit/dashboards"
