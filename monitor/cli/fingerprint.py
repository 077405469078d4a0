"""`rollwatch fingerprint`: what the registry holds instead of a secret, made on the operator's side."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from monitor.cli import EXIT_USAGE
from monitor.cli.common import say, settings
from monitor.core.mapping.fingerprints import fingerprint as fingerprint_of
from monitor.errors import ConfigError


def fingerprint(
    prompt: Annotated[bool, typer.Option("--prompt", help="Ask for one secret, without showing it.")] = False,
) -> None:
    """Turn secrets into fingerprints: one a line on stdin, one a line on stdout.

    A fingerprint is `fp_` and the HMAC-SHA-256 of the secret under the pepper (ROLLWATCH_PEPPER or
    ROLLWATCH_PEPPER_FILE, the same as the daemon's). A secret is never an argument: those are
    seen by everybody on the machine.

    $ rollwatch fingerprint < secrets.txt

    $ vault kv get -field=key secret/billing | rollwatch fingerprint
    """
    from monitor.daemon.pepper import known_pepper, pepper_file  # noqa: PLC0415 - start-up time

    in_force = settings()
    peppered = known_pepper(in_force)
    if peppered is None:
        raise ConfigError("no pepper: set ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE, the same as the daemon's")
    if in_force.pepper is None:
        say(f"rollwatch: no pepper is configured; {pepper_file(in_force)} is used, as by a daemon on this machine")
    if prompt or sys.stdin.isatty():
        secrets = [typer.prompt("secret", hide_input=True, err=True)]
    else:
        secrets = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").splitlines()
    made = 0
    for number, line in enumerate(secrets, start=1):
        secret = line.strip()
        if not secret:
            say(f"rollwatch: line {number} is empty and was left out")
            continue
        typer.echo(fingerprint_of(peppered, secret))
        made += 1
    if not made:
        say("rollwatch: no secret was given; give one a line on stdin")
        raise typer.Exit(EXIT_USAGE)
