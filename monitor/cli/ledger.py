"""`rollwatch ledger`: the hash-chained record of decisions, steps and overrides."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli import EXIT_NEGATIVE
from monitor.cli.common import AsJson, emit, opened_store, say, show_table
from monitor.core.instants import rfc3339

app = typer.Typer(no_args_is_help=True, help="The hash-chained record of decisions, steps and overrides.")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Recompute the whole chain; exit code 1 and a line for each fault if anything was edited, removed or added.

    $ rollwatch ledger verify
    """
    with opened_store() as store:
        faults = list(store.verify_audit())
    if as_json:
        emit({"whole": not faults, "faults": faults})
    elif faults:
        for each in faults:
            typer.echo(each)
    else:
        say("the ledger is whole")
    raise typer.Exit(EXIT_NEGATIVE if faults else 0)


@app.command()
def show(
    rollover: Annotated[str | None, typer.Option(help="Only rows on this rollover.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only rows of this kind, as `decision`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the newest rows.

    $ rollwatch ledger show --rollover billing-2026-05 --json
    """
    with opened_store() as store, store.snapshot() as snapshot:
        rows = snapshot.audit_entries(rollover=rollover, kind=kind, limit=limit)
    if as_json:
        emit(
            [
                {
                    "seq": each.seq,
                    "at": rfc3339(each.at_ms),
                    "kind": each.kind,
                    "rollover": each.rollover,
                    "body": dict(each.body),
                    "prev_hash": each.prev_hash,
                    "hash": each.hash,
                }
                for each in rows
            ]
        )
        return
    show_table(
        ["Seq", "At", "Kind", "Rollover", "What"],
        [
            [
                each.seq,
                rfc3339(each.at_ms),
                each.kind,
                each.rollover,
                each.body.get("decision") or each.body.get("to") or each.body.get("reason"),
            ]
            for each in rows
        ],
        empty="the ledger is empty",
    )
