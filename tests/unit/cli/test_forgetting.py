"""A topic that is read no longer is forgotten by name, with a reason."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from monitor.adapters.sql import SqlStore, upgrade
from monitor.cli import app
from monitor.errors import NotFound
from monitor.ports import Partition, Probe


def test_a_forgotten_topic_has_no_end_to_be_read_to_and_is_forgotten_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    upgrade(url)
    store = SqlStore(url)
    store.probed([Probe(partition=Partition("gw.old", 0), end_offset=7, probed_at_ms=1)], {"gw.old": 1})
    env = {"ROLLWATCH_DATA_DIR": str(tmp_path), "ROLLWATCH_STORE__URL": url}
    forget = ["ingest", "forget", "gw.old", "--reason", "shut down in April", "--by", "ana"]
    done = CliRunner().invoke(app, forget, env=env)
    assert (done.exit_code, "1 of its partitions had unread records" in done.stderr) == (0, True)
    shown = CliRunner().invoke(app, ["ingest", "status", "--json"], env=env)
    assert [each["end_offset"] for each in json.loads(shown.stdout)["partitions"]] == [None]
    assert isinstance(CliRunner().invoke(app, forget, env=env).exception, NotFound)
    store.close()
