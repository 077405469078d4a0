"""`rollwatch config`: what is in force."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.common import AsJson, emit, settings, show_table

app = typer.Typer(no_args_is_help=True, help="The configuration.")


@app.callback()
def config() -> None:
    """Show and check the configuration."""


@app.command()
def check(
    as_json: AsJson = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults.")] = False,
) -> None:
    """Print what is in force, secrets masked; exit code 2 and one clear line where it cannot be used.

    $ rollwatch config check --changed

    $ rollwatch --config rollwatch.toml config check --json
    """
    from monitor.adapters.sql import parsed_url  # noqa: PLC0415 - beside their one use
    from monitor.config import printable  # noqa: PLC0415
    from monitor.daemon.ingest import check_topics  # noqa: PLC0415

    in_force = settings()
    parsed_url(in_force.store_url())
    check_topics(in_force)
    rows = [each for each in printable(in_force) if each.changed or not changed]
    if as_json:
        emit({each.name: each.value for each in rows})
    else:
        show_table(
            ["Setting", "Variable", "Value", ""],
            [[each.name, each.variable, each.value, "set" if each.changed else ""] for each in rows],
            empty="everything is at its default",
        )
