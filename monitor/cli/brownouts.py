"""What `rollwatch rollover brownout` is given and prints: the plan, or what a window has done so far."""

from __future__ import annotations

from typing import Any

import typer

from monitor.cli import EXIT_NEGATIVE
from monitor.cli.common import emit, say, show_table
from monitor.core.instants import parse_duration
from monitor.core.untrusted import harmless


def ends_at(now: int, lasts: str | None) -> int | None:
    """Return when a window that begins now must have ended (`--for`)."""
    try:
        return None if lasts is None else now + parse_duration(lasts)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error


def show_plan(planned: dict[str, Any], *, as_json: bool) -> None:
    """Print the windows, whom they reach, and whom they do not."""
    if as_json:
        emit(planned)
        return
    show_table(
        ["From", "Until", "Reaches", "Who"],
        [
            [each["from"], each["until"], f"{100 * each['coverage']:.0f} %", ", ".join(map(_caller, each["hit"]))]
            for each in planned["windows"]
        ],
        empty="nothing to plan: no caller holds this rollover",
    )
    if planned["unreached"]:
        names = ", ".join(map(_caller, planned["unreached"]))
        say(f"not reached by any window, their rhythm is too slow or unknown: {names}")


def show_measured(found: dict[str, Any], *, as_json: bool) -> None:
    """Print who was refused; exit with 1 where the window must end."""
    if as_json:
        emit(found)
    else:
        show_table(
            ["Refused", "Expected"],
            [[_caller(each), "no" if each in found["unexpected"] else "yes"] for each in found["refused"]],
            empty=f"nobody was refused since {found['since']}",
        )
        if found["still_accepted"]:
            say(f"still accepted: {', '.join(map(_caller, found['still_accepted']))}")
    if found["abort"] is not None:
        say(f"end the window: {found['abort']}")
        raise typer.Exit(EXIT_NEGATIVE)


def _caller(name: dict[str, Any]) -> str:
    return f"{harmless(name['client'])}/{harmless(name['source'])}"
