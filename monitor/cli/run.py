"""`rollwatch run`: the daemon."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from monitor.cli.common import settings


class Role(StrEnum):
    """What this process does."""

    ALL = "all"
    INGEST = "ingest"
    WATCH = "watch"
    API = "api"


def run(
    role: Annotated[Role, typer.Option(help="Which part this process plays; several may share one store.")] = Role.ALL,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Ingest processes (default: 1, inside of this one).")
    ] = None,
) -> None:
    """Run the daemon: Kafka to counts, counts to decisions, decisions to alerts, and the API.

    It waits for Kafka and the database, stays up while they are away, and ends within 5 s of SIGTERM with nothing lost.

    $ rollwatch run

    $ rollwatch run --role ingest --workers 4       beside one `--role watch` and one `--role api`
    """
    in_force = settings()
    if workers is not None:
        in_force = in_force.model_copy(update={"ingest": in_force.ingest.model_copy(update={"workers": workers})})
    from monitor import app  # noqa: PLC0415 - a second's worth of imports that no other command needs

    code = app.run(in_force, app.Role(role.value))
    sys.stdout.flush()
    sys.stderr.flush()
    # What is left are threads of libraries (a look that waits for a dead database, Kafka's I/O): all that is true is in
    # the store already, and an end must not take longer than five seconds.
    os._exit(code)
