"""The reference pages are made from the code: `ROLLWATCH_TEST_WRITE=1 pytest tests/unit/docs` writes them anew."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.adapters.metrics import ALL, CONTRACT, MetricDef
from monitor.config import Settings, known_names, printable, variable_of
from monitor.config.sections import Section

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
_HEAD = "<!-- made from the code by tests/unit/docs; do not edit -->\n\n"


def configuration() -> str:
    """Return the page on settings."""
    return _HEAD + "\n".join(_configuration()) + "\n"


def _configuration() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "One TOML file (`--config FILE` or `ROLLWATCH_CONFIG`), overridden by environment variables (`__` nests)."
    yield "Unknown names are refused. Each secret may also come from a file: add `_FILE` to its variable (`…_file` in"
    yield "TOML)."
    yield "`rollwatch config check` prints what is in force, secrets masked."
    defaults = {each.name: each.value for each in printable(Settings.model_construct())}
    secrets = known_names()
    yield from _table("General", "", [name for name in secrets if "." not in name], defaults, secrets)
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        names = [name for name in secrets if name.startswith(f"{section}.")]
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _table(f"`[{section}]`", inspect.getdoc(kind) or "", names, defaults, secrets)
        elif section == "policy":
            text = "What rollovers start from; a rollover's own `policy` goes over it."
            yield from _table("`[policy]`", text, names, defaults, secrets)
    yield ""
    yield "`rollwatch gate` alone reads `ROLLWATCH_URL`, `ROLLWATCH_TOKEN` and `ROLLWATCH_TOKEN_FILE`."


def _table(
    title: str, text: str, names: list[str], defaults: dict[str, str], secrets: dict[str, bool]
) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    if text:
        yield text
        yield ""
    yield "| setting | variable | default |"
    yield "|---|---|---|"
    for name in names:
        default = defaults[name]
        if name in ("data_dir", "store.url"):
            default = "`$XDG_DATA_HOME/rollwatch`" if name == "data_dir" else "a SQLite file in the data folder"
        elif secrets[name]:
            default = "(secret)"
        elif default:
            default = f"`{default}`"
        yield f"| `{name}` | `{variable_of(name)}` | {default} |"


def metrics() -> str:
    """Return the page on metrics."""
    return _HEAD + "\n".join(_metrics()) + "\n"


def _metrics() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "`GET /metrics`, Prometheus' text format. Labels are bounded sets: callers, credentials and routes are never"
    yield "labels. The first table is relied on by dashboards and alerts of other people and does not change."
    for title, listed in (("Contract", CONTRACT), ("Others", [each for each in ALL if each not in CONTRACT])):
        yield ""
        yield f"## {title}"
        yield ""
        yield "| metric | type | labels | meaning |"
        yield "|---|---|---|---|"
        yield from map(_metric, listed)


def _metric(metric: MetricDef) -> str:
    labels = ", ".join(f"`{each}`" for each in metric.labels)
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"


@pytest.mark.parametrize(("name", "page"), [("configuration.md", configuration), ("metrics.md", metrics)])
def test_a_reference_page_says_what_the_code_says(name: str, page: object) -> None:
    assert callable(page)
    if os.environ.get("ROLLWATCH_TEST_WRITE"):
        (REFERENCE / name).write_text(page())
    assert (REFERENCE / name).read_text() == page(), "ROLLWATCH_TEST_WRITE=1 pytest tests/unit/docs"
