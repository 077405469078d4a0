"""The command line: `rollwatch`. Groups are imported when they are called for, so that a start costs little.

Machine output on stdout (`--json`), talk on stderr, one clear line for each fault, never a traceback for an expected
one. Exit codes: 0 done, 1 a negative answer, 2 usage or configuration, 3 UNKNOWN, 4 out of reach, 70 stalled.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from monitor.errors import FaultReason, RollwatchError

COMMANDS: dict[str, str] = {
    "demo": "monitor.cli.demo",
    "run": "monitor.cli.run",
    "gate": "monitor.cli.gate",
    "rollover": "monitor.cli.rollover",
    "keys": "monitor.cli.keys",
    "fingerprint": "monitor.cli.fingerprint",
    "token": "monitor.cli.token",
    "mapping": "monitor.cli.mapping",
    "backfill": "monitor.cli.backfill",
    "ingest": "monitor.cli.ingest",
    "replay": "monitor.cli.replay",
    "simulate": "monitor.cli.simulate",
    "alerts": "monitor.cli.alerts",
    "incidents": "monitor.cli.incidents",
    "train": "monitor.cli.detector",
    "evaluate": "monitor.cli.detector",
    "explain": "monitor.cli.detector",
    "score-metric": "monitor.cli.detector",
    "ledger": "monitor.cli.ledger",
    "config": "monitor.cli.config",
    "db": "monitor.cli.db",
    "doctor": "monitor.cli.doctor",
}
"""Name to module. A module has a function named like the command, or a Typer `app` that is (or has) it."""

EXIT_NEGATIVE, EXIT_USAGE, EXIT_UNKNOWN, EXIT_UNREACHABLE = 1, 2, 3, 4
_EXIT_OF = {
    FaultReason.CONFIG: EXIT_USAGE,
    FaultReason.REGISTRY: EXIT_USAGE,
    FaultReason.NOT_FOUND: EXIT_USAGE,
    FaultReason.CONFLICT: EXIT_NEGATIVE,
    FaultReason.STORE_AWAY: EXIT_UNREACHABLE,
    FaultReason.SOURCE_AWAY: EXIT_UNREACHABLE,
    FaultReason.STALLED: 70,
}
_INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """Imports a command's module when the command is asked for; one that is not installed is not there."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the library's signature
        """Return the names, in the order of a user's way through them."""
        return [name for name, module in COMMANDS.items() if find_spec(module) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - the library's signature
        """Return one command."""
        module = COMMANDS.get(cmd_name)
        if module is None or find_spec(module) is None:
            return None
        return _command(import_module(module), cmd_name)


def _command(module: Any, name: str) -> Any:  # noqa: ANN401 - a module in, one of the library's commands out
    outer = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    outer.callback()(lambda: None)
    group = getattr(module, "app", None)
    if group is None:
        outer.command(name)(getattr(module, name.replace("-", "_")))
        return get_command(outer).commands[name]  # type: ignore[attr-defined] # with a callback it is a group
    outer.add_typer(group, name=name)
    made = get_command(outer).commands[name]  # type: ignore[attr-defined] # as above
    return made.commands.get(name, made)


app = typer.Typer(
    cls=LazyGroup,
    name="rollwatch",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rollwatch {installed_version()}")
        raise typer.Exit


@app.callback()
def rollwatch(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="A TOML file; the environment (ROLLWATCH_…) overrides it."),
    ] = None,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Watch API keys being rotated: who still uses the old one, does the new one fail, may the old one be retired?

    [bold]A first look[/bold]

    $ rollwatch demo                                    a simulated fleet and a page to look at

    [bold]In production[/bold]

    $ export ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 ROLLWATCH_KAFKA__TOPICS=gw.logs=kong@edge-1/eu

    $ export ROLLWATCH_KEYS_FILE=keys.yaml ROLLWATCH_STORE__URL=postgresql://rollwatch@db/rollwatch

    $ rollwatch run                                     the whole daemon

    $ rollwatch gate billing-2026-05 && ./retire.sh     exit code 0 only for GO
    """
    _ = show_version
    if config is not None:
        os.environ["ROLLWATCH_CONFIG"] = str(config)


def installed_version() -> str:
    """Return the installed version."""
    try:
        return version("rollwatch")
    except PackageNotFoundError:
        return "0+unknown"


def _config_first(arguments: list[str]) -> list[str]:
    """Return the arguments with `--config FILE` in front, where the whole command line takes it."""
    found: list[str] = []
    rest: list[str] = []
    given = iter(arguments)
    for each in given:
        if each == "--":
            rest += [each, *given]
        elif each == "--config":
            found += [each, *([value] if (value := next(given, None)) is not None else [])]
        elif each.startswith("--config="):
            found.append(each)
        else:
            rest.append(each)
    return found + rest


def _keep_stdout_clean() -> None:
    """Send what modules log to stderr, from `warning` on: stdout is for what was asked for. `run` sets its own logs."""
    import structlog  # noqa: PLC0415 - a tenth of a second that `gate` need not pay

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> None:
    """Run the command line and end the process with its exit code."""
    arguments = _config_first(sys.argv[1:])
    if arguments and not {"gate", "--help", "-h", "--version"}.intersection(arguments):
        _keep_stdout_clean()
    try:
        app(args=arguments, prog_name="rollwatch")
    except RollwatchError as fault:
        typer.echo(f"rollwatch: {fault}", err=True)
        sys.exit(_EXIT_OF.get(fault.reason, EXIT_NEGATIVE))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us has seen enough (`| head`); the interpreter must not complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_NEGATIVE)
