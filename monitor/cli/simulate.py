"""`rollwatch simulate`: made-up histories of rollovers, to try policies on before there is a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.common import AsJson, emit, say, show_table


def simulate(
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder to write into.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Which stories (may be repeated; default: all).")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same stories.")] = 1,
    list_kinds: Annotated[bool, typer.Option("--list", help="List the kinds of stories, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write histories of rollovers, as a gateway's log and a registry, with the truth beside them.

    For each kind a folder DIR/KIND with events.jsonl, keys.yaml and truth.json: who really left the old version when,
    and which alerts are due.

    \b
    rollwatch simulate --out stories --kind weekly --kind silent-gateway
    rollwatch replay stories/weekly/events.jsonl --keys stories/weekly/keys.yaml --out d.jsonl --alerts a.jsonl
    """  # noqa: D301 - \b is click's mark for lines to keep
    from monitor.simulate import KINDS, tell  # noqa: PLC0415 - start-up time
    from monitor.simulate.writing import write  # noqa: PLC0415

    if list_kinds:
        rows = [{"kind": name, "about": each.about} for name, each in KINDS.items()]
        if as_json:
            emit(rows)
        else:
            show_table(("kind", "about"), [list(each.values()) for each in rows], empty="none")
        return
    if out is None:
        raise typer.BadParameter("give --out DIR, or --list")
    if unknown := sorted(set(kind or ()) - set(KINDS)):
        raise typer.BadParameter(f"--kind: there is no {', '.join(unknown)}; known are {', '.join(KINDS)}")
    for name in kind or KINDS:
        folder = out / name
        lines = write(tell(name, seed), folder)
        say(f"{folder}: {lines:,} events")
