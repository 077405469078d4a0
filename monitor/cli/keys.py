"""`rollwatch keys`: the registry, in the store directly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.common import AsJson, By, emit, now_ms, opened_store, say, settings, show_table, who
from monitor.errors import RegistryError

app = typer.Typer(no_args_is_help=True, help="Keys, versions and rollovers: what is expected to be seen.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A keys.yaml.")],
    source: Annotated[
        str | None,
        typer.Option(help="The name it is kept under; what that no longer has, goes (default: its path)."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only read it and say whether it is right.")] = False,
    by: By = None,
) -> None:
    """Make the registry be as a file says; the same file again changes nothing.

    A wrong file changes nothing and is refused with file and line of each fault.

    $ rollwatch keys import keys.yaml

    $ rollwatch keys import keys.yaml --check            in a pull request
    """
    from monitor.core.registry_file import parse_registry  # noqa: PLC0415 - YAML only here

    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise RegistryError(f"{file}: {error.strerror or type(error).__name__}") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{file}: not UTF-8 at byte {error.start}") from error
    registry = parse_registry(text, name=str(file))
    if check:
        say(f"{file}: {len(registry.keys)} keys, {len(registry.rollovers)} rollovers; nothing is wrong with it")
        return
    with opened_store() as store:
        report = store.import_registry(registry, source=source or str(file.resolve()), by=who(by), now_ms=now_ms())
    if not report.changed:
        say(f"nothing has changed (revision {report.revision})")
    for word, names in (("added", report.added), ("updated", report.updated), ("removed", report.removed)):
        for each in names:
            say(f"{word} {each}")
    for key, changes in sorted(report.changes.items()):
        for change in changes:
            say(f"the gate will feel: {key}: {change.what}")


@app.command()
def due(as_json: AsJson = False) -> None:
    """Show which keys need a new version, the most urgent first, from their versions' age and expiry.

    $ rollwatch keys due
    """
    from monitor.api.shapes import rotation  # noqa: PLC0415 - start-up time
    from monitor.core.rotation import rotations  # noqa: PLC0415

    in_force = settings()
    with opened_store(in_force) as store:
        _, registry = store.registry()
    rows = [rotation(each) for each in rotations(registry, in_force.rotation.rule(), now_ms=now_ms())]
    if as_json:
        emit({"rotations": rows})
        return
    show_table(
        ["Key", "Version", "State", "Age in days", "Begin by", "Over by", "Rollover"],
        [list(each.values()) for each in rows],
        empty="no keys yet: `rollwatch keys import keys.yaml`",
    )


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the registry; `--json` in the words of `keys.yaml`.

    $ rollwatch keys list
    """
    from monitor.core.registry_writing import registry_as_json  # noqa: PLC0415 - beside its one use

    with opened_store() as store:
        _, registry = store.registry()
    if as_json:
        emit(registry_as_json(registry))
        return
    rollovers: dict[str, list[str]] = {}
    for each in registry.rollovers:
        rollovers.setdefault(each.key, []).append(each.id)
    show_table(
        ["Key", "Versions", "Owner", "Clients", "Rollovers"],
        [
            [
                each.key,
                ", ".join(f"v{version.version} ({len(version.credentials)})" for version in each.versions),
                each.owner.team,
                ", ".join(each.clients) or None,
                ", ".join(rollovers.get(each.key, [])) or None,
            ]
            for each in registry.keys
        ],
        empty="no keys yet: `rollwatch keys import keys.yaml`",
    )
