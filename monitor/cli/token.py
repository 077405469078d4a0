"""`rollwatch token`: API tokens, in the store directly."""

from __future__ import annotations

from typing import Annotated

import typer

from monitor.cli.common import AsJson, emit, now_ms, opened_store, say, show_table
from monitor.core.instants import rfc3339
from monitor.ports import Scope

app = typer.Typer(no_args_is_help=True, help="Tokens for the HTTP interface; stored as hashes, shown once.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it: a pipeline, a person.")],
    scope: Annotated[Scope, typer.Option(help="What it may do; each includes those before it.")] = Scope.READ,
) -> None:
    """Make a token; it is printed on stdout, once.

    read: decisions and all that is shown · operate: also start, waive, pin, retire · admin: also emergency and tokens

    $ rollwatch token create ci --scope read

    $ export ROLLWATCH_TOKEN=$(rollwatch token create deploy --scope operate)
    """
    from monitor.control import tokens  # noqa: PLC0415 - beside its one use

    with opened_store() as store:
        made = tokens.create(store, name, scope=scope, now_ms=now_ms())
    say(f"token {name!r} with scope {scope}; it cannot be shown again:")
    typer.echo(made)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the tokens: names and scopes, never themselves.

    $ rollwatch token list
    """
    with opened_store() as store:
        found = store.tokens()
    rows = [
        {
            "name": each.name,
            "scope": each.scope.value,
            "created_at": rfc3339(each.created_at_ms),
            "revoked_at": None if each.revoked_at_ms is None else rfc3339(each.revoked_at_ms),
        }
        for each in found
    ]
    if as_json:
        emit({"tokens": rows})
    else:
        show_table(
            ["Name", "Scope", "Created", "Revoked"],
            [list(each.values()) for each in rows],
            empty="no tokens yet: `rollwatch token create NAME --scope read`",
        )


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Revoke a token; the next request with it is refused.

    $ rollwatch token revoke deploy
    """
    with opened_store() as store:
        store.revoke_token(name, now_ms=now_ms())
    say(f"token {name!r} is revoked")
