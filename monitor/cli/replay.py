"""`rollwatch replay`: decisions and alerts of recorded events, on their own clock (contract: DESIGN §7)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monitor.core.policy import Policy
    from monitor.core.registry import Registry
    from monitor.ports.detection import FailureDetector
    from monitor.replay.intake import RecordMapping

_CHUNK_LINES = 2_000
_USAGE_EXIT = 2


def replay(  # noqa: PLR0917
    events: Annotated[
        list[Path],
        typer.Argument(help="JSONL files (plain, .gz, .zst) in order of arrival.", exists=True, dir_okay=False),
    ],
    keys: Annotated[Path, typer.Option(help="The registry, keys.yaml.", exists=True, dir_okay=False)],
    preset: Annotated[str, typer.Option(help="How the records are written: canonical, kong, apisix …")] = "canonical",
    policy: Annotated[Path | None, typer.Option(help="Policy file over the defaults.", exists=True)] = None,
    every: Annotated[str, typer.Option(help="Decide at each multiple of this.")] = "1h",
    from_: Annotated[
        str | None, typer.Option("--from", help="First moment (RFC 3339); before it is history only.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last moment (RFC 3339); default: the last event.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where decisions go, one a line.")] = None,
    alerts: Annotated[Path | None, typer.Option(help="Where alerts go, one a line.")] = None,
    detector: Annotated[
        bool, typer.Option("--detector/--no-detector", help="Look for failed rollovers too (slower).")
    ] = True,
    what_if: Annotated[
        list[Path] | None,
        typer.Option("--what-if", help="Compare: another policy file (may be repeated); prints a table.", exists=True),
    ] = None,
) -> None:
    """Replay recorded events through the gate: the same decisions and alerts, as if it had watched.

    \b
    rollwatch replay may.jsonl.gz --keys keys.yaml --out decisions.jsonl --alerts alerts.jsonl
    rollwatch replay may.jsonl.gz --keys keys.yaml --what-if lax.yaml --what-if strict.yaml --no-detector
    """  # noqa: D301 - \b is click's mark for lines to keep
    from monitor.errors import RollwatchError  # noqa: PLC0415 - start-up time

    if not what_if and (out is None or alerts is None):
        raise typer.BadParameter("give --out and --alerts, or --what-if to compare policies")
    try:
        _replay(events, keys, preset, policy, every, from_, until, out, alerts, what_if or [], detector=detector)
    except RollwatchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_USAGE_EXIT) from None
    except ValueError as error:
        typer.echo(f"rollwatch replay: {error}", err=True)
        raise typer.Exit(_USAGE_EXIT) from None


def _replay(  # noqa: PLR0917 - the command's options
    events: list[Path],
    keys: Path,
    preset: str,
    policy_file: Path | None,
    every: str,
    from_: str | None,
    until: str | None,
    out: Path | None,
    alerts: Path | None,
    what_if: list[Path],
    *,
    detector: bool,
) -> None:
    from monitor.core.instants import parse_duration, parse_rfc3339  # noqa: PLC0415
    from monitor.replay.inputs import read_policy, read_registry  # noqa: PLC0415
    from monitor.replay.replayer import ReplayPlan  # noqa: PLC0415

    every_ms = parse_duration(every)
    if every_ms <= 0:
        raise ValueError("--every: expected a duration above zero, as in 1h")
    registry = read_registry(keys)

    def plan(policy: Policy) -> ReplayPlan:
        return ReplayPlan(
            registry=registry,
            policy=policy,
            every_ms=every_ms,
            from_ms=None if from_ is None else parse_rfc3339(from_),
            until_ms=None if until is None else parse_rfc3339(until),
        )

    base = read_policy(policy_file)
    mapping = _mapping(preset, registry, base)
    if out is not None and alerts is not None:
        _one(plan(base), events, mapping, out, alerts, detector=detector)
    if what_if:
        named = [("as given" if policy_file is None else policy_file.name, base)]
        named += [(path.name, read_policy(path)) for path in what_if]
        _compare([(name, plan(policy)) for name, policy in named], events, mapping, detector=detector)


def _one(plan, events: list[Path], mapping: RecordMapping, out: Path, alerts: Path, *, detector: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    from monitor.replay.files import chunks_of_lines  # noqa: PLC0415
    from monitor.replay.outputs import JsonLines  # noqa: PLC0415
    from monitor.replay.replayer import Replay  # noqa: PLC0415

    with JsonLines(out) as decided, JsonLines(alerts) as told, _progress(events, out.name) as read:
        run = Replay(
            plan,
            mapping=mapping,
            detector=_detector(plan.policy) if detector else None,
            on_decision=decided.write,
            on_alert=told.write,
        )
        run.run(chunks_of_lines(events, size=_CHUNK_LINES, told=read))
    typer.echo(f"{run.records:,} records, {decided.lines:,} decisions, {told.lines:,} alerts", err=True)


def _compare(plans, events: list[Path], mapping: RecordMapping, *, detector: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from monitor.core.alerting.look import name_of  # noqa: PLC0415
    from monitor.replay.files import chunks_of_lines  # noqa: PLC0415
    from monitor.replay.replayer import Replay  # noqa: PLC0415
    from monitor.replay.what_if import Outcomes, first_go_text  # noqa: PLC0415

    table = Table("rollover", "policy", "first GO", "taken back", "callers broken by it", "who", title="What if")
    rows: dict[str, list[tuple[str, str, str, str, str]]] = {}
    for name, plan in plans:
        outcomes = Outcomes(plan.registry.rollovers)
        with _progress(events, name) as read:
            run = Replay(
                plan,
                mapping=mapping,
                detector=_detector(plan.policy) if detector else None,
                on_decision=outcomes.add,
                on_alert=lambda _: None,
            )
            run.run(chunks_of_lines(events, size=_CHUNK_LINES, told=read))
        for each in outcomes.finish(plan.registry, run.history):
            who = ", ".join(name_of(caller) for caller in each.broken[:3]) + (" …" if len(each.broken) > 3 else "")  # noqa: PLR2004
            rows.setdefault(each.rollover, []).append(
                (name, first_go_text(each), str(each.lost), str(len(each.broken)), who)
            )
    for rollover, lines in rows.items():
        for line in lines:
            table.add_row(rollover, *line)
    Console(soft_wrap=True, markup=False).print(table)


def _mapping(preset: str, registry: Registry, policy: Policy) -> RecordMapping:
    from monitor.core.mapping import compile_mapping  # noqa: PLC0415
    from monitor.replay.inputs import read_pepper  # noqa: PLC0415

    pepper = read_pepper()
    if pepper is None and any(each.startswith("fp_") for each in registry.version_of):
        typer.echo(
            "note: the registry holds fingerprints and no pepper is set (ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE): "
            "presented keys in the records will not be recognised",
            err=True,
        )
    return compile_mapping(preset, pepper=pepper or b"", max_clock_skew_ms=policy.max_clock_skew_ms)


def _detector(policy: Policy) -> FailureDetector:
    from monitor.adapters.detector import RolloverDetector  # noqa: PLC0415

    return RolloverDetector(false_episodes_per_1000_key_days=policy.false_episodes_per_1000_key_days)


@contextmanager
def _progress(events: list[Path], title: str) -> Iterator[Callable[[int], None]]:
    """Show a bar over the bytes of the files, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    total = sum(path.stat().st_size for path in events)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
