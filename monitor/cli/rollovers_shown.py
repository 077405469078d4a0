"""`rollwatch rollover list|show`: where rollovers stand, with the verdicts that the watch loop left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.common import AsJson, emit, now_ms, opened_store, say, settings, show_table
from monitor.core.instants import SECOND_MS, rfc3339


def list_(as_json: AsJson = False) -> None:
    """Show all rollovers: where each stands, and its latest verdict.

    $ rollwatch rollover list --json
    """
    from monitor.api import shapes  # noqa: PLC0415 - start-up time

    in_force, at_ms = settings(), now_ms()
    with opened_store(in_force) as store, store.snapshot() as snapshot:
        states, evaluations = snapshot.states(at_ms), snapshot.evaluations()
    stale_after_ms = int(in_force.watch.stale_after * SECOND_MS)
    rows = [
        shapes.rollover(state, evaluations.get(name), now_ms=at_ms, stale_after_ms=stale_after_ms)
        for name, state in sorted(states.items())
    ]
    if as_json:
        emit({"rollovers": rows})
        return
    show_table(
        ["Rollover", "Key", "Versions", "State", "Decision", "Deadline"],
        [
            [
                each["id"],
                each["key"],
                f"v{each['from_version']} -> v{each['to_version']}",
                each["state"],
                each["decision"],
                each["deadline"],
            ]
            for each in rows
        ],
        empty="no rollovers yet: `rollwatch rollover start`, or `rollwatch keys import keys.yaml`",
    )


def show(rollover: Annotated[str, typer.Argument(help="The rollover's id.")], as_json: AsJson = False) -> None:
    """Show one rollover with its verdict as the watch loop last saw it.

    $ rollwatch rollover show billing-2026-05
    """
    from monitor.api import shapes  # noqa: PLC0415 - start-up time
    from monitor.cli.gate import lines  # noqa: PLC0415

    in_force, at_ms = settings(), now_ms()
    with opened_store(in_force) as store, store.snapshot() as snapshot:
        state = snapshot.state(rollover, at_ms)
        evaluation = snapshot.evaluation(rollover)
    stale_after_ms = int(in_force.watch.stale_after * SECOND_MS)
    row = shapes.rollover(state, evaluation, now_ms=at_ms, stale_after_ms=stale_after_ms)
    if as_json:
        emit(row | {"latest": None if evaluation is None else dict(evaluation.body)})
        return
    for name in ("id", "key", "from_version", "to_version", "state", "since", "by", "reason", "deadline", "retired_at"):
        if row[name] is not None:
            typer.echo(f"{name.replace('_', ' ')}: {row[name]}")
    if evaluation is None:
        say("not evaluated yet: is `rollwatch run` under way?")
        return
    if row["decision"] is None:
        return  # it is over: its last verdict says nothing any more
    typer.echo(f"evaluated at: {rfc3339(evaluation.evaluated_at_ms)}")
    if row["decision"] != evaluation.verdict:
        say("too long ago to say anything of now, which is UNKNOWN (is `rollwatch run` under way?); then it was")
    for line in lines(evaluation.body):
        typer.echo(line)
