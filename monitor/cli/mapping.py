"""`rollwatch mapping`: try a mapping on records, and find out which one fits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli import EXIT_NEGATIVE
from monitor.cli.common import say, settings

if TYPE_CHECKING:
    from monitor.core.events import AuthEvent
    from monitor.core.mapping import RecordMapping
    from monitor.core.mapping.diagnosing import Diagnosis

app = typer.Typer(no_args_is_help=True, help="Try a mapping on records; find the preset that fits.")

Preset = Annotated[str, typer.Option("--preset", "-p", help="A preset's name, or the path of a mapping file (YAML).")]


@app.command("test")
def try_records(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One JSON document, or JSONL; - is stdin.")],
    preset: Preset = "canonical",
    gateway: Annotated[str | None, typer.Option(help="The gateway of records that name none.")] = None,
    region: Annotated[str | None, typer.Option(help="The region of records that name none.")] = None,
) -> None:
    """Print what becomes of each record: an event, or why not. Exit code 1 if anything was rejected.

    Arrival is not judged, so old samples will do. A gateway's records that name no gateway get the file's name, as
    they get the topic's in production.

    $ rollwatch mapping test --preset kong access.jsonl

    $ kcat -C -t gw.logs -c 100 -e | rollwatch mapping test --preset ./our-mapping.yaml -
    """
    mapping = _compiled(preset, gateway=gateway or _named_by(file, preset), region=region)
    rejected = 0
    for value in _records(_bytes(file)):
        for each in mapping.map_value(value, None):
            is_event = hasattr(each, "ts_ms")
            rejected += not is_event
            line: dict[str, Any] = (
                {"event": event_json(each)}  # type: ignore[arg-type] # told apart above, without the import
                if is_event
                else {"rejected": {"reason": each.reason.value, "sample": getattr(each, "sample", "")}}
            )
            typer.echo(json.dumps(line, ensure_ascii=False))
    if rejected:
        raise typer.Exit(EXIT_NEGATIVE)


@app.command()
def doctor(
    source: Annotated[str, typer.Argument(metavar="FILE|TOPIC", help="A file of records, or a topic to sample.")],
    count: Annotated[int, typer.Option(help="How many records to look at.", min=1, max=100_000)] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at a sample: which preset fits, which fields are found and which are not, what shows raw secrets.

    $ rollwatch mapping doctor access.jsonl

    $ rollwatch mapping doctor gw.kong.logs             (a topic of the configured Kafka)
    """
    from monitor.core.mapping.diagnosing import diagnose  # noqa: PLC0415 - start-up time

    path = Path(source)
    values = list(_records(path.read_bytes())) if path.is_file() else _sampled(source, count)
    if not values:
        say(f"rollwatch: {source} holds no records to look at")
        raise typer.Exit(EXIT_NEGATIVE)
    diagnoses = diagnose(values[:count])
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in diagnoses], ensure_ascii=False, indent=2))
    else:
        _tell(source, diagnoses)
    if not diagnoses[0].events:
        raise typer.Exit(EXIT_NEGATIVE)


def event_json(event: AuthEvent) -> dict[str, Any]:
    """Return an event under the canonical names, absent fields left out."""
    from monitor.core.instants import rfc3339  # noqa: PLC0415 - start-up time

    named = {
        "ts": rfc3339(event.ts_ms),
        "outcome": event.outcome.value,
        "reason": event.reason.value,
        "credential": event.credential,
        "client": event.client,
        "source": event.source,
        "gateway": event.gateway,
        "region": event.region,
        "route": event.route,
        "method": event.method,
        "status": event.status,
        "id": event.event_id,
        "count": event.count,
        "sample_rate": event.sample_rate,
    }
    return {name: value for name, value in named.items() if value is not None}


def _compiled(preset: str, *, gateway: str | None, region: str | None) -> RecordMapping:
    from monitor.core.mapping import MappingError, compile_mapping  # noqa: PLC0415 - start-up time
    from monitor.daemon.pepper import known_pepper  # noqa: PLC0415 - start-up time
    from monitor.errors import ConfigError  # noqa: PLC0415 - start-up time

    secret = known_pepper(settings())
    if secret is None:
        say("rollwatch: no pepper is known (ROLLWATCH_PEPPER): fingerprints are made without one and fit no registry")
    try:
        return compile_mapping(_document(preset), pepper=secret or b"", gateway=gateway, region=region)
    except MappingError as error:
        raise ConfigError(f"{preset}: {error}") from None


def _document(preset: str) -> Any:  # noqa: ANN401 - a name, or what a YAML file holds
    from monitor.core.mapping import PRESETS  # noqa: PLC0415 - start-up time
    from monitor.daemon.ingest import mapping_document  # noqa: PLC0415 - start-up time

    return preset if preset in PRESETS or not Path(preset).is_file() else mapping_document(Path(preset))


def _named_by(file: str, preset: str) -> str | None:
    """Return the gateway of a gateway's records that name none: the file's name, as ingest takes the topic's."""
    return None if preset == "canonical" else "stdin" if file == "-" else Path(file).name.partition(".")[0]


def _bytes(file: str) -> bytes:
    from monitor.errors import ConfigError  # noqa: PLC0415 - start-up time

    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records: the whole where it is one JSON document, else its lines; a blank last line is none."""
    lines = content.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if len(lines) > 1 and _is_document(content):
        yield content.strip()
        return
    for line in lines:
        yield line.rstrip(b"\r")


def _is_document(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _sampled(topic: str, count: int) -> list[bytes]:
    from monitor.adapters.kafka_sample import sample_topic  # noqa: PLC0415 - start-up time
    from monitor.errors import ConfigError  # noqa: PLC0415 - start-up time

    in_force = settings()
    if not in_force.kafka.servers():
        raise ConfigError(f"{topic} is no file, and ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS is not set")
    return sample_topic(in_force.kafka.servers(), in_force.kafka.security(), topic, count=count)


def _tell(source: str, diagnoses: list[Diagnosis]) -> None:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time

    best = diagnoses[0]
    console = Console()
    if best.events:
        console.print(f"[bold]{best.preset}[/bold] fits {source}: {best.events} of {best.elements} elements are events")
    else:
        console.print(f"no preset fits {source}; write a mapping of your own (docs/reference/mapping.md)")
    fields = Table("field", "found in", "share", box=None)
    for name, found in best.fields.items():
        share = found / best.elements
        fields.add_row(name, f"{found} of {best.elements}", f"{share:.0%}", style="" if found else "dim")
    console.print(fields)
    for reason, number in best.rejects.items():
        console.print(f"rejected as {reason}: {number}")
    if best.raw_secrets:
        console.print(
            f"[bold red]{best.raw_secrets} of {best.elements} records show a raw secret.[/bold red] {best.remedy}"
        )
    others = [f"{each.preset} {each.events}" for each in diagnoses[1:] if each.events]
    if others:
        console.print(f"also readable as: {', '.join(others)}")
