"""`rollwatch incidents`: what the detector found."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.common import AsJson, emit, opened_store, show_table
from monitor.core.instants import rfc3339

app = typer.Typer(no_args_is_help=True, help="Episodes of odd failures, with their causes.")


@app.callback()
def incidents() -> None:
    """Look at episodes of odd failures."""


@app.command("list")
def list_(
    key: Annotated[str | None, typer.Option(help="Only of this key.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that have not been closed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show incidents, newest first.

    $ rollwatch incidents list --open
    """
    with opened_store() as store:
        found = store.incidents(key=key, open_only=open_only, limit=limit)
    if as_json:
        from monitor.api.shapes import incident  # noqa: PLC0415 - beside its one use

        emit({"incidents": [incident(each) for each in found]})
        return
    show_table(
        ["Opened", "Closed", "Key", "Kind", "Cause", "Severity", "What"],
        [
            [
                rfc3339(each.opened_at_ms),
                None if each.closed_at_ms is None else rfc3339(each.closed_at_ms),
                f"{each.key} v{each.version}",
                each.kind,
                each.cause,
                each.severity,
                each.summary,
            ]
            for each in found
        ],
        empty="no incidents",
    )
