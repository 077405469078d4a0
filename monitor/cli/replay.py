"""`rollwatch replay`: decisions and alerts of recorded events, on their own clock (contract: DESIGN §7)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.common import say, settings, show_table
from monitor.collector import collect_seldom

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.core.alerts import Alert
    from monitor.core.decision import Decision
    from monitor.core.policy import Policy
    from monitor.core.registry import Registry
    from monitor.ports.detection import FailureDetector
    from monitor.replay.intake import RecordMapping
    from monitor.replay.replayer import Replay, ReplayPlan

_CHUNK_LINES = 2_000
_SHOWN_CALLERS = 3


def replay(  # noqa: PLR0917 - the command's options
    events: Annotated[
        list[Path],
        typer.Argument(help="JSONL files (plain, .gz, .zst) in order of arrival.", exists=True, dir_okay=False),
    ],
    keys: Annotated[Path, typer.Option(help="The registry, keys.yaml.", exists=True, dir_okay=False)],
    preset: Annotated[
        str, typer.Option(help="How the records are written: canonical, kong, apisix …, or a mapping file.")
    ] = "canonical",
    gateway: Annotated[str | None, typer.Option(help="The gateway of records that name none.")] = None,
    region: Annotated[str | None, typer.Option(help="The region of records that name none.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Policy file, over the configuration's.", exists=True, dir_okay=False)
    ] = None,
    every: Annotated[str, typer.Option(help="Decide at each multiple of this.")] = "1h",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TS", help="First moment (RFC 3339); before it is history only.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TS", help="Last moment (RFC 3339); default: the last event.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where decisions go, one a line.")] = None,
    alerts: Annotated[Path | None, typer.Option(help="Where alerts go, one a line.")] = None,
    detector: Annotated[
        bool, typer.Option("--detector/--no-detector", help="Look for failed rollovers too (slower).")
    ] = True,
    what_if: Annotated[
        list[Path] | None,
        typer.Option(
            "--what-if",
            metavar="POLICY",
            help="Compare with another policy file (may be repeated); prints a table.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Replay recorded events through the gate: the decisions and alerts that it would have given.

    The clock is the records' own: a record arrives at its `arrived_at`, else when it says that it happened. The same
    input gives the same bytes. Events before `--from` (default: the first rollover's start) are history.

    \b
    rollwatch replay may.jsonl.gz --keys keys.yaml --out decisions.jsonl --alerts alerts.jsonl
    rollwatch replay may.jsonl.gz --keys keys.yaml --what-if lax.yaml --what-if strict.yaml --no-detector
    """  # noqa: D301 - \b is click's mark for lines to keep
    from monitor.replay.inputs import read_policy, read_registry  # noqa: PLC0415 - start-up time
    from monitor.replay.replayer import ReplayPlan  # noqa: PLC0415

    if (out is None or alerts is None) and not what_if:
        raise typer.BadParameter("give --out and --alerts, or --what-if to compare policies")
    in_force = settings()
    base = read_policy(policy, over=in_force.default_policy())
    registry = read_registry(keys)
    plan = ReplayPlan(
        registry=registry,
        policy=base,
        every_ms=_duration(every),
        from_ms=_moment("--from", from_),
        until_ms=_moment("--until", until),
        max_record_bytes=in_force.ingest.max_record_bytes,
    )
    mapping = _mapping(preset, gateway, region, registry, base, in_force)
    work = _Work(events=events, mapping=mapping, detector=detector)
    collect_seldom()
    if out is not None and alerts is not None:
        _write(work, plan, out, alerts)
    if what_if:
        others = [(path.name, read_policy(path, over=in_force.default_policy())) for path in what_if]
        _compare(work, plan, [("as given" if policy is None else policy.name, base), *others])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    events: list[Path]
    mapping: RecordMapping
    detector: bool

    def run(
        self, plan: ReplayPlan, title: str, on_decision: Callable[[Decision], None], on_alert: Callable[[Alert], None]
    ) -> Replay:
        """Replay everything under one plan."""
        from monitor.replay.files import chunks_of_lines  # noqa: PLC0415
        from monitor.replay.replayer import Replay  # noqa: PLC0415

        made = Replay(
            plan,
            mapping=self.mapping,
            detector=_detector(plan.policy) if self.detector else None,
            on_decision=on_decision,
            on_alert=on_alert,
        )
        with _progress(self.events, title) as told:
            made.run(chunks_of_lines(self.events, size=_CHUNK_LINES, told=told))
        return made


def _write(work: _Work, plan: ReplayPlan, out: Path, alerts: Path) -> None:
    from monitor.replay.outputs import JsonLines  # noqa: PLC0415

    with JsonLines(out) as decided, JsonLines(alerts) as told:
        made = work.run(plan, out.name, decided.write, told.write)
    say(f"{made.records:,} records, {decided.lines:,} decisions, {told.lines:,} alerts")


def _compare(work: _Work, plan: ReplayPlan, policies: list[tuple[str, Policy]]) -> None:
    from monitor.core.alerting.look import name_of  # noqa: PLC0415
    from monitor.replay.what_if import Outcomes, first_go_text  # noqa: PLC0415

    rows: dict[str, list[list[object]]] = {each.id: [] for each in plan.registry.rollovers}
    for title, policy in policies:
        outcomes = Outcomes(plan.registry.rollovers)
        made = work.run(replace(plan, policy=policy), title, outcomes.add, lambda _: None)
        for each in outcomes.finish(plan.registry, made.history):
            who = ", ".join(name_of(caller) for caller in each.broken[:_SHOWN_CALLERS])
            more = f"{who} and {more_of} more" if (more_of := len(each.broken) - _SHOWN_CALLERS) > 0 else who
            rows[each.rollover].append(
                [each.rollover, title, first_go_text(each), each.lost, len(each.broken), more or None]
            )
    show_table(
        ("rollover", "policy", "first GO", "GO taken back", "callers broken by it", "who"),
        [row for each in rows.values() for row in each],
        empty="there is no rollover in the registry",
    )


def _mapping(  # noqa: PLR0917 - all that a mapping is made from
    preset: str, gateway: str | None, region: str | None, registry: Registry, policy: Policy, in_force: Settings
) -> RecordMapping:
    """Return the compiled mapping.

    Where neither records nor `--gateway` name a gateway, the registry's is meant if it has one only; else the preset's
    name stands in. A canonical record has to name its own.
    """
    from monitor.core.mapping import CANONICAL, PRESETS, MappingError, compile_mapping  # noqa: PLC0415
    from monitor.daemon.pepper import known_pepper  # noqa: PLC0415

    if gateway is None and preset != CANONICAL:
        alone = registry.gateways[0] if len(registry.gateways) == 1 else None
        gateway, region = (Path(preset).stem, region) if alone is None else (alone.gateway, region or alone.region)
    pepper = None if preset == CANONICAL else known_pepper(in_force)
    if preset != CANONICAL and pepper is None and any(each.startswith("fp_") for each in registry.version_of):
        say(
            "note: the registry holds fingerprints, and no pepper is set (ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE): "
            "keys presented in the records will not be recognised"
        )
    try:
        return compile_mapping(
            preset if preset in PRESETS else _document(preset),
            pepper=pepper or b"",
            gateway=gateway,
            region=region,
            max_record_bytes=in_force.ingest.max_record_bytes,
            max_clock_skew_ms=policy.max_clock_skew_ms,
        )
    except MappingError as error:
        raise typer.BadParameter(f"--preset {preset}: {error}") from None


def _document(preset: str) -> dict[str, object]:
    from monitor.core.mapping import PRESETS  # noqa: PLC0415
    from monitor.daemon.ingest import mapping_document  # noqa: PLC0415

    if not Path(preset).suffix:
        raise typer.BadParameter(f"--preset: there is no {preset!r}; known are {', '.join(PRESETS)}")
    return dict(mapping_document(Path(preset)))


def _detector(policy: Policy) -> FailureDetector:
    from monitor.adapters.detector import RolloverDetector  # noqa: PLC0415 - scikit-learn takes a second to import

    return RolloverDetector(false_episodes_per_1000_key_days=policy.false_episodes_per_1000_key_days)


def _duration(text: str) -> int:
    from monitor.core.instants import parse_duration  # noqa: PLC0415

    try:
        every_ms = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"--every: {error}") from None
    if every_ms <= 0:
        raise typer.BadParameter("--every: expected a duration above zero, as in 1h")
    return every_ms


def _moment(option: str, text: str | None) -> int | None:
    from monitor.core.instants import parse_rfc3339  # noqa: PLC0415

    try:
        return None if text is None else parse_rfc3339(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


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
