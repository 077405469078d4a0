"""`rollwatch gate`: asks the daemon whether the old version may be retired, for pipelines and people."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from monitor.cli import EXIT_NEGATIVE, EXIT_UNKNOWN, EXIT_UNREACHABLE, EXIT_USAGE
from monitor.cli.common import say
from monitor.cli.http import Answer, Client
from monitor.core.instants import SECOND_MS, parse_duration
from monitor.core.untrusted import harmless
from monitor.errors import ConfigError

_POLL_SECONDS = 5.0
_EXIT_OF = {"GO": 0, "NO_GO": EXIT_NEGATIVE, "UNKNOWN": EXIT_UNKNOWN}
_OK, _REFUSED = 200, frozenset({400, 401, 403, 404, 405, 422})
_SHOWN_BLOCKERS = 20


class Verdict(NamedTuple):
    """What one asking came to: an exit code, a decision if there was one, and a sentence where there was none."""

    code: int
    decision: Mapping[str, Any] | None
    message: str


def gate(
    rollover: Annotated[str, typer.Argument(help="The rollover's id.")],
    region: Annotated[str | None, typer.Option(help="Decide the gateways of one region alone.")] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Keep asking until GO, for so long: 30m, 2h.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON on stdout.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Whom to ask; also ROLLWATCH_URL (default: the configured API).")
    ] = None,
) -> None:
    """Ask whether the old version may be retired now. Exit code 0 only for GO.

    [bold]Exit codes[/bold]: 0 GO · 1 NO_GO · 2 usage, unknown rollover, wrong token · 3 UNKNOWN · 4 nobody answers

    The token comes from ROLLWATCH_TOKEN or ROLLWATCH_TOKEN_FILE, never from an argument.

    $ rollwatch gate billing-2026-05

    $ rollwatch gate billing-2026-05 --wait 30m --json > decision.json && ./retire.sh
    """
    seconds = 0.0 if wait is None else _duration_seconds(wait)
    client = Client.to(url, token=token())
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        found = judge(client.get(f"/v1/rollovers/{client.quote(rollover)}/decision", region=region), rollover)
        left = deadline - time.monotonic()
        if found.code in (0, EXIT_USAGE) or left <= 0:
            break
        if found.message != said:
            say(f"{found.message}; waiting up to {wait}")
            said = found.message
        time.sleep(min(_POLL_SECONDS, left))
    show(found, as_json=as_json)
    raise typer.Exit(found.code)


def token() -> str | None:
    """Return the token of the environment. Raises `ConfigError` where its file cannot be read, or it is no token."""
    name, value = "ROLLWATCH_TOKEN", os.environ.get("ROLLWATCH_TOKEN")
    file = os.environ.get("ROLLWATCH_TOKEN_FILE")
    if not value and file:
        name = "ROLLWATCH_TOKEN_FILE"
        try:
            value = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}: cannot read {file}: {type(error).__name__}") from error
    found = value.strip() if value else ""
    if not (found.isascii() and found.isprintable()):
        raise ConfigError(f"{name}: expected one line of printable characters, as `rollwatch token create` prints it")
    return found or None


def judge(answer: Answer, rollover: str) -> Verdict:
    """Return what an answer means. GO needs the status 200, the word, and our rollover: all three."""
    if answer.status in _REFUSED:
        return Verdict(EXIT_USAGE, None, answer.problem())
    body = answer.json()
    said = body.get("decision") if body is not None else None
    if body is None or said not in _EXIT_OF or body.get("rollover") != rollover:
        return Verdict(EXIT_UNREACHABLE, None, answer.problem())
    if said == "GO" and answer.status != _OK:
        return Verdict(EXIT_UNREACHABLE, None, f"the answer contradicts itself: status {answer.status} with GO")
    return Verdict(_EXIT_OF[said], body, f"{said}: {summary(body)}")


def summary(decision: Mapping[str, Any]) -> str:
    """Return the first thing that holds it, in one line."""
    blockers = decision.get("blockers") or []
    if not blockers:
        return f"{decision.get('key')} v{decision.get('from_version')} may be retired"
    first = str(blockers[0].get("summary") or blockers[0].get("what_would_clear_it"))
    more = f" (and {len(blockers) - 1} more)" if len(blockers) > 1 else ""
    return harmless(first, limit=300) + more


def show(found: Verdict, *, as_json: bool) -> None:
    """Print the decision, or say why there is none."""
    if found.decision is None:
        say(f"rollwatch: {found.message}")
    elif as_json:
        typer.echo(json.dumps(found.decision, ensure_ascii=False))
    else:
        for line in lines(found.decision):
            typer.echo(line)


def lines(decision: Mapping[str, Any]) -> list[str]:
    """Return a decision as a person reads it. Names of callers come from logs and are made harmless."""
    # without a database nobody knows of which key it is
    versions = (
        f": {decision['key']} v{decision['from_version']} -> v{decision['to_version']}" if decision["key"] else ""
    )
    shown = [f"{decision['decision']}  {decision['rollover']}{versions}"]
    marks = {"pass": "ok  ", "fail": "FAIL", "unknown": "??  "}
    for clause in decision["clauses"]:
        mark = marks.get(clause["status"], clause["status"])
        shown.append(f"  {mark}  {clause['id']}  {harmless(clause['summary'], limit=300)}")
    blockers = decision["blockers"]
    if blockers:
        shown.append("what holds it:")
    for blocker in blockers[:_SHOWN_BLOCKERS]:
        caller = blocker.get("caller")
        name = f"{harmless(caller['client'])}/{harmless(caller['source'])}: " if caller else ""
        says = harmless(blocker.get("summary") or "", limit=300)
        shown.append(f"  {blocker['clause']}  {name}{says}")
        shown.append(f"        clears by: {harmless(blocker['what_would_clear_it'], limit=300)}")
    if len(blockers) > _SHOWN_BLOCKERS:
        shown.append(f"  … and {len(blockers) - _SHOWN_BLOCKERS} more (--json shows all)")
    eta = decision["eta"]
    if eta.get("earliest_go"):
        by = f" ({harmless(eta['limited_by'])})" if eta.get("limited_by") else ""
        shown.append(f"earliest GO: {eta['earliest_go']}, {eta['state']}{by}")
    shown += [f"note: {harmless(each, limit=300)}" for each in decision.get("telemetry_notes", [])]
    return shown


def _duration_seconds(text: str) -> float:
    try:
        return parse_duration(text) / SECOND_MS
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from error
