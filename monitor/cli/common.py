"""What commands share: settings, the store, the clock, and saying things in the right place."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.ports import Store

AsJson = Annotated[bool, typer.Option("--json", help="Machine output on stdout.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it (default: the user's name).")]


def now_ms() -> int:
    """Return the present."""
    return time.time_ns() // 1_000_000


def who(given: str | None) -> str:
    """Return the name under which something is recorded."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown user"


def settings() -> Settings:
    """Return what is in force. Raises `ConfigError`."""
    from monitor.config import load_settings  # noqa: PLC0415 - only commands that need it pay for pydantic

    return load_settings()


@contextmanager
def opened_store(in_force: Settings | None = None) -> Iterator[Store]:
    """Open the configured store, its schema brought up to date. Raises `StoreAway`, `StoreRefused`."""
    from monitor.adapters.sql import open_store, upgrade  # noqa: PLC0415 - as above, for SQLAlchemy

    chosen = in_force or settings()
    url = chosen.store_url()
    make_folder(chosen)
    upgrade(url)
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def make_folder(in_force: Settings) -> None:
    """Make the data folder where the store is the file in it. Raises `ConfigError`."""
    if in_force.store.url is None:
        from monitor.errors import ConfigError  # noqa: PLC0415 - beside its one use

        try:
            in_force.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make the data folder {in_force.data_dir}: {error.strerror}; set ROLLWATCH_DATA_DIR"
            ) from error


def say(text: str) -> None:
    """Talk: to stderr, so that stdout stays for what was asked for."""
    typer.echo(text, err=True)


def emit(value: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print a table on stdout: for people on a terminal, tab separated for others. Cells may come from logs."""
    from monitor.core.untrusted import harmless  # noqa: PLC0415 - beside its one use

    if not rows:
        say(empty)
        return
    cells = [["-" if each is None else harmless(str(each)) for each in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [[each.lower().replace(" ", "_") for each in columns], *cells]:
            typer.echo("\t".join(line))
        return
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only on a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(each) for each in row))
    Console().print(table)
