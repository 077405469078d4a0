"""`rollwatch db`: the store's schema."""

from __future__ import annotations

import typer

from monitor.cli.common import make_folder, say, settings

app = typer.Typer(no_args_is_help=True, help="The store's schema.")


@app.callback()
def db() -> None:
    """Look after the store's schema."""


@app.command()
def upgrade() -> None:
    """Bring the schema up to date; the daemon does so itself at its start.

    $ ROLLWATCH_STORE__URL=postgresql://rollwatch@db/rollwatch rollwatch db upgrade
    """
    from monitor.adapters.sql import upgrade as bring_up_to_date  # noqa: PLC0415 - SQLAlchemy only here
    from monitor.config import masked_url  # noqa: PLC0415

    in_force = settings()
    make_folder(in_force)
    bring_up_to_date(in_force.store_url())
    say(f"the schema of {masked_url(in_force.store_url())} is up to date")
