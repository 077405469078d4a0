"""`rollwatch ingest`: how far each partition is read, stopped lines, topics that are read no longer."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.common import AsJson, By, emit, now_ms, opened_store, say, show_table, who
from monitor.core.instants import rfc3339
from monitor.ports import Partition

app = typer.Typer(no_args_is_help=True, help="How far each partition is read; lines that stand still.")


@app.command()
def resume(
    partition: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION", help="As in gw.logs:3.")],
    reason: Annotated[str, typer.Option(help="Why it may go on; kept in the ledger.")],
    by: By = None,
) -> None:
    """Let a partition go on that stopped because too many of its records were rejected.

    $ rollwatch ingest resume gw.logs:3 --reason "mapping corrected in 1.4"
    """
    topic, colon, number = partition.rpartition(":")
    if not colon or not topic or not number.isascii() or not number.isdigit():
        raise typer.BadParameter(f"expected TOPIC:PARTITION, as in gw.logs:3, got {partition!r}")
    found = Partition(topic, int(number))
    with opened_store() as store:
        store.resume_line(found, reason=reason, by=who(by), now_ms=now_ms())
    say(f"{found} goes on")


@app.command()
def forget(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="As in gw.logs.")],
    reason: Annotated[str, typer.Option(help="Why nothing is to be expected from it; kept in the ledger.")],
    by: By = None,
) -> None:
    """Wait no longer for a topic that was taken out of ROLLWATCH_KAFKA__TOPICS: C2 asks for it until then.

    What was counted stays. A partition that was not read to its end leaves a coverage gap, which C4 feels. A topic that
    is still configured comes back within seconds, and goes on where it was.

    $ rollwatch ingest forget gw.old-logs --reason "edge-3 was shut down in April"
    """
    with opened_store() as store:
        gaps = store.forget_topic(topic, reason=reason, by=who(by), now_ms=now_ms())
    say(f"{topic} is not waited for any more" + (f"; {gaps} of its partitions had unread records (C4)" if gaps else ""))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show how far each partition has been read.

    $ rollwatch ingest status
    """
    with opened_store() as store:
        found = store.partition_states()
    rows = [
        {
            "partition": f"{each.topic}:{each.partition}",
            "next_offset": each.next_offset,
            "end_offset": each.end_offset,
            "complete_through": None if each.complete_through_ms is None else rfc3339(each.complete_through_ms),
            "stopped": each.stopped,
        }
        for each in found
    ]
    if as_json:
        emit({"partitions": rows})
    else:
        show_table(
            ["Partition", "Next", "End", "Complete through", "Stands still because"],
            [list(each.values()) for each in rows],
            empty="nothing has been read yet",
        )
