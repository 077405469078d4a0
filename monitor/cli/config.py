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
    from monitor.config import printable  # noqa: PLC0415 - beside its one use

    rows = [each for each in printable(settings()) if each.changed or not changed]
    if as_json:
        emit({each.name: each.value for each in rows})
    else:
        show_table(
            ["Setting", "Variable", "Value", ""],
            [[each.name, each.variable, each.value, "set" if each.changed else ""] for each in rows],
            empty="everything is at its default",
        )
