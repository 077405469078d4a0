"""`rollwatch train | evaluate | explain | score-metric`: the detector by hand."""

# ruff: noqa: PLR0917 - the command line library reads options from the signature
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.common import AsJson, emit, now_ms, opened_store, say, show_table
from monitor.core.instants import HOUR_MS, MINUTE_MS, rfc3339
from monitor.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from models.evaluate import FleetResult, Report
    from monitor.ports.outbox import Incident

_PLOT_WIDTH = 40
_PLOT_ROWS = 24


def train(as_json: AsJson = False) -> None:
    """Train the detector on the stored history now, and keep the record of it (`model_runs`).

    $ rollwatch train
    """
    from monitor.adapters.detector import RolloverDetector  # noqa: PLC0415 - scikit-learn takes a second
    from monitor.ports.outbox import ModelRun  # noqa: PLC0415 - as above
    from monitor.watch.detector_feed import StoreDetection  # noqa: PLC0415 - as above

    records: list[ModelRun] = []
    with opened_store() as store:
        with store.snapshot() as snapshot:
            registry = snapshot.registry()
        at = now_ms()
        StoreDetection(
            RolloverDetector(),
            store,
            trained=lambda body, when: records.append(ModelRun(trained_at_ms=when, kind="detector", body=body)),
        ).look(registry, at)
        for record in records:
            store.put_model_run(record)
    body = dict(records[-1].body)
    if as_json:
        emit(body)
        return
    show_table(["What", "Value"], [[name, value] for name, value in body.items()], empty="nothing was trained")


def evaluate(
    alerts: Annotated[
        Path | None, typer.Argument(help="alerts.jsonl of a replay; without it, simulated fleets are watched.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="JSONL of true faults: key, version, cause, first_at, last_at.")
    ] = None,
    key_days: Annotated[float | None, typer.Option(min=0.001, help="Keys x days that the alerts cover.")] = None,
    level: Annotated[str, typer.Option(help="Simulated: realistic or hard.")] = "realistic",
    fleets: Annotated[int, typer.Option(min=1, max=50, help="Simulated: how many.")] = 2,
    seed: Annotated[int, typer.Option(help="Simulated: the first fleet's seed.")] = 4000,
    keys: Annotated[int, typer.Option(min=1, help="Simulated: keys a fleet.")] = 200,
    days: Annotated[int, typer.Option(min=3, help="Simulated: days a fleet.")] = 14,
    as_json: AsJson = False,
) -> None:
    """Score alerts against the truth: points, recall, delay, causes, false episodes, with 95 % intervals.

    $ rollwatch evaluate alerts.jsonl --labels faults.jsonl --key-days 2800

    $ rollwatch evaluate --level hard --fleets 4
    """
    from models.evaluate import report  # noqa: PLC0415 - numpy

    if alerts is not None:
        if labels is None or key_days is None:
            raise ConfigError("evaluating alerts needs --labels and --key-days")
        results = [_of_files(alerts, labels, key_days)]
    else:
        results = []
        for i in range(fleets):
            say(f"fleet {seed + i} ({level})")
            results.append(_simulated(seed + i, level, keys, days))
    found = report(results)
    if as_json:
        from dataclasses import asdict  # noqa: PLC0415 - beside its one use

        emit(asdict(found))
        return
    _show(found)


def _of_files(alerts: Path, labels: Path, key_days: float) -> FleetResult:
    from models.evaluate import read_alerts, read_labels, score_fleet  # noqa: PLC0415 - numpy

    try:
        with alerts.open() as told, labels.open() as truth:
            return score_fleet(read_alerts(told), read_labels(truth), key_days)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"cannot evaluate: {error}") from error


def _simulated(seed: int, level: str, keys: int, days: int) -> FleetResult:
    from models.detector import Detector  # noqa: PLC0415 - scikit-learn takes a second
    from models.evaluate import records, score_fleet  # noqa: PLC0415 - as above
    from models.reranker import default_reranker  # noqa: PLC0415 - as above
    from models.synth import simulate  # noqa: PLC0415 - as above
    from models.synth.watched import labels as true_faults  # noqa: PLC0415 - as above
    from models.synth.watched import run  # noqa: PLC0415 - as above

    try:
        fleet = simulate(seed, keys=keys, days=days, level=level)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    told = run(fleet, Detector(reranker=default_reranker()))
    return score_fleet(records(told), true_faults(fleet), fleet.key_days)


def _show(found: Report) -> None:
    show_table(
        ["Figure", "Mean", "Low", "High"],
        [
            [name, f"{i.mean:.2f}", f"{i.low:.2f}", f"{i.high:.2f}"]
            for name, i in (
                ("score", found.score),
                ("recall", found.recall),
                ("cause right", found.cause_right),
                ("false episodes per 1,000 key-days", found.false_episodes_per_1000_key_days),
            )
        ],
        empty="nothing",
    )
    show_table(
        ["True cause", "Faults", "Recall", "Windows (median)", "Points", "Named"],
        [
            [
                row.cause,
                row.faults,
                f"{row.recall:.2f}",
                f"{row.median_windows:.0f}",
                f"{row.points:.0f}",
                ", ".join(f"{name} {n}" for name, n in row.named),
            ]
            for row in found.causes
        ],
        empty="no faults",
    )


def explain(
    incident: Annotated[str, typer.Argument(help="An incident's id, as `rollwatch incidents list --json` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show why an incident was opened: its evidence, the features that carried its score, failures over time.

    $ rollwatch explain billing-api/v2/20260501T1042
    """
    with opened_store() as store:
        found = next((each for each in store.incidents(limit=100_000) if each.id == incident), None)
        if found is None:
            raise NotFound(f"no incident {incident!r}")
        with store.snapshot() as snapshot:
            version = snapshot.registry().key_by_name[found.key].version(found.version)
        until = found.closed_at_ms or now_ms()
        cells = store.failure_cells(
            from_ms=found.opened_at_ms - HOUR_MS,
            to_ms=until + HOUR_MS,
            credentials=() if version is None else version.credentials,
        )
    by_minute: dict[int, int] = {}
    for cell, n in cells:
        by_minute[cell.minute_ms] = by_minute.get(cell.minute_ms, 0) + n
    if as_json:
        emit(
            {
                "incident": found.id,
                "cause": found.cause,
                "summary": found.summary,
                "evidence": dict(found.evidence),
                "failures": [{"minute": rfc3339(at), "failures": n} for at, n in sorted(by_minute.items())],
            }
        )
        return
    _tell(found, by_minute)


def _tell(found: Incident, by_minute: dict[int, int]) -> None:
    evidence = dict(found.evidence)
    features = evidence.pop("features", [])
    show_table(
        ["What", "Value"],
        [
            ["incident", found.id],
            ["kind", found.kind],
            ["cause", found.cause],
            ["summary", found.summary],
            ["opened", rfc3339(found.opened_at_ms)],
            ["closed", None if found.closed_at_ms is None else rfc3339(found.closed_at_ms)],
            *[[name, value] for name, value in evidence.items()],
        ],
        empty="",
    )
    if isinstance(features, list):
        show_table(
            ["Feature", "Value", "Carried (log odds)"],
            [[f.get("name"), f.get("value"), f.get("contribution")] for f in features if isinstance(f, dict)],
            empty="no features were kept",
        )
    for line in plot(by_minute):
        typer.echo(line)


def plot(by_minute: dict[int, int]) -> list[str]:
    """Draw failures over time as bars of text, at most `_PLOT_ROWS` lines, steps of whole minutes."""
    if not by_minute:
        return ["no failures are stored in detail for that time"]
    first, last = min(by_minute), max(by_minute)
    step = max(1, -(-((last - first) // MINUTE_MS + 1) // _PLOT_ROWS)) * MINUTE_MS
    bins: dict[int, int] = {}
    for at, n in by_minute.items():
        bins[(at - first) // step] = bins.get((at - first) // step, 0) + n
    most = max(bins.values())
    lines = [f"failures per {step // MINUTE_MS} min"]
    for i in range(max(bins) + 1):
        n = bins.get(i, 0)
        lines.append(f"{rfc3339(first + i * step)[:16]}  {'#' * -(-n * _PLOT_WIDTH // most)} {n}")
    return lines


def score_metric(
    source: Annotated[Path, typer.Argument(metavar="IN.csv", help="Columns timestamp,value.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.csv", help="timestamp,value,anomaly_score.")],
) -> None:
    """Score a plain metric, row by row, with the same detector of the odd; no row sees those after it.

    $ rollwatch score-metric cpu.csv scored.csv
    """
    from models.metric import score_lines  # noqa: PLC0415 - scikit-learn takes a second

    try:
        with source.open(encoding="utf-8", newline="") as lines, target.open("w", encoding="utf-8", newline="") as out:
            rows = score_lines(lines, out.write)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8 text") from error
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    say(f"{rows} rows scored")
