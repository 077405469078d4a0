"""`rollwatch backfill`: archived logs into the store, so that a look-back need not be waited for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.common import AsJson, emit, opened_store, say, settings, show_table

if TYPE_CHECKING:
    from monitor.ingest.backfill import FileReport


def backfill(
    files: Annotated[
        list[Path], typer.Argument(help="JSONL files (plain, .gz, .zst), folders of them, or quoted patterns.")
    ],
    preset: Annotated[
        str, typer.Option(help="How the records are written: canonical, kong, apisix …, or a mapping file.")
    ] = "canonical",
    gateway: Annotated[str | None, typer.Option(help="The gateway of records that name none.")] = None,
    region: Annotated[str | None, typer.Option(help="The region of records that name none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take archived logs in, through the same mapping and into the same store as live ones.

    Each record counts exactly once, also when this is interrupted and repeated; a file is known by its content, and of
    one that has grown only the new records are taken in. What Rollwatch has read live must not be given again: it would
    count twice. Records arrive at their own time.

    \b
    rollwatch backfill /archive/edge-1/ --preset kong --gateway edge-1
    rollwatch backfill "logs/2026-0*.jsonl.gz"
    """  # noqa: D301 - \b is click's mark for lines to keep
    import gc  # noqa: PLC0415 - beside its one use
    import os  # noqa: PLC0415
    import socket  # noqa: PLC0415

    from monitor.config import Topic  # noqa: PLC0415
    from monitor.daemon.ingest import mapping_of  # noqa: PLC0415
    from monitor.ingest import SYSTEM_CLOCK, IngestSettings  # noqa: PLC0415
    from monitor.ingest.backfill import Backfill, found_files  # noqa: PLC0415

    try:
        found = found_files(files)
    except FileNotFoundError as error:
        raise typer.BadParameter(f"there is no file {error}") from None
    in_force = settings()
    topic = Topic(name="backfill", preset=preset, gateway=gateway, region=region)
    mapping = mapping_of(topic, in_force, named=False)
    gc.set_threshold(100_000, 50, 100)  # millions of small values, none of them in a cycle
    reports: list[FileReport] = []
    with opened_store(in_force) as store, _progress(found) as (told, begin):
        work = Backfill(
            store=store,
            mapping=mapping,
            settings=IngestSettings(
                max_reject_ratio=in_force.ingest.max_reject_ratio,
                max_record_bytes=in_force.ingest.max_record_bytes,
                max_clock_skew_ms=in_force.default_policy().max_clock_skew_ms,
            ),
            clock=SYSTEM_CLOCK,
            name=f"backfill-{socket.gethostname()}-{os.getpid()}",
            told=told,
        )
        for path in found:
            begin(path.name)
            reports.append(work.file(path))
    _show(reports, as_json=as_json)


def _show(reports: list[FileReport], *, as_json: bool) -> None:
    names = ("records", "aggregated", "unmapped", "rejected", "known")
    rows = [{"file": str(each.path), **{name: getattr(each, name) for name in names}} for each in reports]
    total = {name: sum(getattr(each, name) for each in reports) for name in names}
    if as_json:
        emit({"files": rows, "total": total})
        return
    show_table(
        ["File", "Records", "Counted", "Without credential", "Rejected", "Known before"],
        [list(each.values()) for each in rows],
        empty="no files",
    )
    say(f"{total['records']:,} records taken in, {total['known']:,} were known already, {total['rejected']:,} rejected")


@contextmanager
def _progress(found: list[Path]) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Show a bar over the bytes of the files, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None, lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    total = sum(path.stat().st_size for path in found)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("backfill", total=total)
        yield (lambda count: bar.advance(task, count)), (lambda name: bar.update(task, description=name))
