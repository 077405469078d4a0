"""`rollwatch rollover`: start, look at and step rollovers, in the store directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli import EXIT_NEGATIVE, EXIT_UNKNOWN
from monitor.cli.common import AsJson, By, emit, now_ms, opened_store, say, settings, who
from monitor.cli.rollovers_shown import list_, show
from monitor.core.instants import SECOND_MS, parse_rfc3339

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.control.judge import Judge
    from monitor.control.steps import Action, Stepped
    from monitor.ports import Snapshot

app = typer.Typer(no_args_is_help=True, help="Rollovers: moving a key from one version to another.")
app.command("list")(list_)
app.command()(show)

Rollover = Annotated[str, typer.Argument(help="The rollover's id.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the ledger.")]
NeededReason = Annotated[str, typer.Option(help="Why; kept in the ledger.")]


@contextmanager
def _writing() -> Iterator[tuple[Snapshot, Judge]]:
    """Yield a writing snapshot of the configured store, and the judge for it."""
    in_force = settings()
    with opened_store(in_force) as store, store.snapshot(write=True) as snapshot:
        yield snapshot, _judge(in_force)


def _judge(in_force: Settings) -> Judge:
    from monitor.control.judge import Judge  # noqa: PLC0415 - start-up time

    return Judge(
        policy=in_force.default_policy(),
        stale_after_ms=int(in_force.watch.stale_after * SECOND_MS),
        two_person=in_force.two_person,
    )


def _moment(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("expected a time such as 2026-05-01T00:00:00Z", param_hint=name) from error


@app.command()
def start(  # noqa: PLR0917 - passed by name
    rollover: Rollover,
    key: Annotated[str, typer.Option(help="The key.")],
    from_version: Annotated[int, typer.Option("--from", min=0, help="The old version.")],
    to_version: Annotated[int, typer.Option("--to", min=0, help="The new version.")],
    started_at: Annotated[str | None, typer.Option(help="When it began (RFC 3339; default: now).")] = None,
    deadline: Annotated[str | None, typer.Option(help="By when the old version must be gone.")] = None,
    channel: Annotated[str | None, typer.Option(help="The Slack channel it is told in.")] = None,
    policy: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Its own policy, as quiet_window=3d; repeatable.")
    ] = None,
    by: By = None,
) -> None:
    """Begin a rollover; the key and both versions must be registered.

    $ rollwatch rollover start billing-2026-05 --key billing-api --from 1 --to 2 --deadline 2026-06-01T00:00:00Z
    """
    from monitor.control import steps  # noqa: PLC0415 - start-up time
    from monitor.core.registry import Rollover as Record  # noqa: PLC0415

    at_ms = now_ms()
    started_ms = _moment(started_at, "--started-at")
    record = Record(
        id=rollover,
        key=key,
        from_version=from_version,
        to_version=to_version,
        started_at_ms=at_ms if started_ms is None else started_ms,
        deadline_ms=_moment(deadline, "--deadline"),
        channel=channel,
        policy=_policy(policy or []),
    )
    with _writing() as (snapshot, _):
        fresh = steps.start(snapshot, record, by=who(by), now_ms=at_ms)
    say(f"rollover {rollover!r} has begun" if fresh else f"rollover {rollover!r} is already as given")


def _policy(given: list[str]) -> tuple[tuple[str, object], ...]:
    from monitor.core.registry_file import parse_policy  # noqa: PLC0415 - YAML only here

    lines: list[str] = []
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, as quiet_window=3d, got {each!r}", param_hint="--policy")
        lines.append(f"{name}: {value}")
    read = parse_policy("\n".join(lines), name="--policy")
    return tuple((name, tuple(raw) if isinstance(raw, list) else raw) for name, raw in sorted(read.items()))


def _step(rollover: str, what: Action, *, by: str | None, reason: str | None, as_json: bool) -> None:
    from monitor.control import steps  # noqa: PLC0415 - start-up time

    with _writing() as (snapshot, judge):
        done = steps.step(snapshot, judge, rollover, what, by=who(by), reason=reason, now_ms=now_ms())
    _told(done, as_json=as_json)


def _told(done: Stepped, *, as_json: bool) -> None:
    if as_json:
        emit(done.as_json())
    elif done.done:
        say(f"rollover {done.rollover!r} is {done.state} now, by {done.by}")


@app.command()
def brownout(  # noqa: PLR0917 - passed by name
    rollover: Rollover,
    begin: Annotated[bool, typer.Option("--begin", help="Record that the first window has begun.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Say what the window under way has done so far.")] = False,
    since: Annotated[str | None, typer.Option(metavar="TS", help="The window's start, to measure another one.")] = None,
    accept: Annotated[
        int | None, typer.Option(min=0, help="End it above so many refused callers. Default: as many as hold it.")
    ] = None,
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="With --begin: it must have ended after this.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Plan short refusals of the old version in the stragglers' own hours; the gateway makes them.

    $ rollwatch rollover brownout billing-2026-05                   the plan: windows, who is reached, who is not

    $ rollwatch rollover brownout billing-2026-05 --begin --for 5m --accept 3 --reason "first window agreed"

    $ rollwatch rollover brownout billing-2026-05 --measure         exit code 1 says: end it now
    """
    from monitor.cli.brownouts import ends_at, show_measured, show_plan  # noqa: PLC0415 - start-up time
    from monitor.control import brownouts  # noqa: PLC0415

    now = now_ms()
    if begin:
        limits = brownouts.Limits(accept=accept, until_ms=ends_at(now, lasts))
        with _writing() as (snapshot, judge):
            done = brownouts.begin_brownout(
                snapshot, judge, rollover, by=who(by), reason=reason, now_ms=now, limits=limits
            )
        _told(done, as_json=as_json)
        return
    with opened_store() as store, store.snapshot() as snapshot:
        judge = _judge(settings())
        if not measure:
            show_plan(brownouts.brownout_plan(snapshot, judge, rollover, now_ms=now), as_json=as_json)
            return
        since_ms = _moment(since, "--since")
        found = brownouts.brownout_measured(snapshot, judge, rollover, now_ms=now, since_ms=since_ms, accept=accept)
    show_measured(found, as_json=as_json)


@app.command()
def freeze(rollover: Rollover, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Allow no new caller of the old version any more: one that appears is a security matter.

    $ rollwatch rollover freeze billing-2026-05 --reason "last week of the overlap"
    """
    from monitor.control.steps import Action  # noqa: PLC0415 - start-up time

    _step(rollover, Action.FREEZE, by=by, reason=reason, as_json=as_json)


@app.command()
def disable(rollover: Rollover, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Note that the old version is switched off at the gateways, and can be switched on again (`enable`).

    $ rollwatch rollover disable billing-2026-05 --reason "switched off at edge-1 and edge-2"
    """
    from monitor.control.steps import Action  # noqa: PLC0415 - start-up time

    _step(rollover, Action.DISABLE, by=by, reason=reason, as_json=as_json)


@app.command()
def enable(rollover: Rollover, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Note that the old version is switched on again.

    $ rollwatch rollover enable billing-2026-05 --reason "globex could not move in time"
    """
    from monitor.control.steps import Action  # noqa: PLC0415 - start-up time

    _step(rollover, Action.ENABLE, by=by, reason=reason, as_json=as_json)


@app.command()
def rollback(rollover: Rollover, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Give the rollover up: callers go back to the old version.

    $ rollwatch rollover rollback billing-2026-05 --reason "v2 lacks the scope orders:write"
    """
    from monitor.control.steps import Action  # noqa: PLC0415 - start-up time

    _step(rollover, Action.ROLLBACK, by=by, reason=reason, as_json=as_json)


@app.command()
def complete(rollover: Rollover, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Close a retired rollover: it is no longer watched.

    $ rollwatch rollover complete billing-2026-05
    """
    from monitor.control.steps import Action  # noqa: PLC0415 - start-up time

    _step(rollover, Action.COMPLETE, by=by, reason=reason, as_json=as_json)


@app.command()
def retire(rollover: Rollover, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Retire the old version, on a GO made in this very transaction; without GO nothing happens.

    Exit codes as of `gate`: 0 retired · 1 NO_GO or a state that does not allow it · 3 UNKNOWN

    $ rollwatch rollover retire billing-2026-05 --reason "everyone has moved"
    """
    from monitor.cli.gate import lines  # noqa: PLC0415 - start-up time
    from monitor.control import steps  # noqa: PLC0415

    with _writing() as (snapshot, judge):
        done = steps.retire(snapshot, judge, rollover, by=who(by), reason=reason, now_ms=now_ms())
    _told(done, as_json=as_json)
    if done.done or done.decision is None:
        return
    if not as_json:
        say(f"rollover {rollover!r} was not retired:")
        for line in lines(done.decision.as_json()):
            typer.echo(line)
    raise typer.Exit(EXIT_NEGATIVE if done.decision.verdict == "NO_GO" else EXIT_UNKNOWN)


@app.command()
def emergency(  # noqa: PLR0917 - passed by name
    rollover: Rollover,
    reason: NeededReason,
    override_pin: Annotated[bool, typer.Option("--override-pin", help="Overrule a pin by name.")] = False,
    approved_by: Annotated[
        str | None, typer.Option("--approved-by", metavar="NAME", help="Who else agrees (two-person rule).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown who will break.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Retire a compromised version whatever the gate says. First without `--yes`: that shows who will break.

    $ rollwatch rollover emergency billing-2026-05 --reason "key found in a public repository"
    """
    from monitor.cli.gate import lines  # noqa: PLC0415 - start-up time
    from monitor.control import steps  # noqa: PLC0415

    with _writing() as (snapshot, judge):
        if yes:
            done = steps.emergency(
                snapshot,
                judge,
                rollover,
                by=who(by),
                reason=reason,
                now_ms=now_ms(),
                override_pin=override_pin,
                approved_by=approved_by,
            )
            decision = done.decision
        else:
            done, decision = None, judge.decide_one(snapshot, rollover, now_ms=now_ms())
    if decision is not None and not as_json:
        for line in lines(decision.as_json()):
            typer.echo(line)
    if done is not None:
        _told(done, as_json=as_json)
        return
    if as_json and decision is not None:
        emit({"rollover": rollover, "done": False, "decision": decision.as_json()})
    say("nothing was done: with --yes the old version is recorded as retired, and those above will break")


@app.command()
def waive(  # noqa: PLR0917 - passed by name
    rollover: Rollover,
    client: Annotated[str, typer.Option(help="The caller's principal, as logs name it.")],
    reason: NeededReason,
    until: Annotated[str | None, typer.Option(help="Until when (RFC 3339); default: for good.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="From when; default: now.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source of it; default: all.")] = None,
    by: By = None,
) -> None:
    """Accept a caller as a blocker, by name and for a time.

    $ rollwatch rollover waive billing-2026-05 --client globex --source lab --reason decommissioned --until 2026-06-10T00:00:00Z
    """  # noqa: E501 - a command that can be copied
    from monitor.core.registry import Waiver  # noqa: PLC0415 - start-up time

    waiver = Waiver(
        rollover=rollover,
        client=client,
        source=source,
        reason=reason,
        by=who(by),
        from_ms=_moment(from_, "--from"),
        until_ms=_moment(until, "--until"),
    )
    with _writing() as (snapshot, _):
        snapshot.waive(waiver, now_ms=now_ms())
    say(f"{client}/{source or '*'} is waived for {rollover!r}")


Version = Annotated[int | None, typer.Option("--version", min=0, help="Another version than the rollover's old one.")]


@app.command()
def pin(
    rollover: Rollover,
    reason: NeededReason,
    until: Annotated[str | None, typer.Option(help="Until when (RFC 3339); default: for good.")] = None,
    version: Version = None,
    by: By = None,
) -> None:
    """Veto the retirement of the rollover's old version.

    $ rollwatch rollover pin billing-2026-05 --reason "retain for migration" --until 2026-07-01T00:00:00Z
    """
    from monitor.core.registry import Pin  # noqa: PLC0415 - start-up time

    with _writing() as (snapshot, _):
        found = snapshot.state(rollover, now_ms()).rollover
        made = Pin(
            key=found.key,
            version=found.from_version if version is None else version,
            reason=reason,
            by=who(by),
            until_ms=_moment(until, "--until"),
        )
        snapshot.pin(made, now_ms=now_ms())
    say(f"{made.key} v{made.version} is pinned")


@app.command()
def unpin(rollover: Rollover, reason: NeededReason, version: Version = None, by: By = None) -> None:
    """Take all pins off the rollover's old version.

    $ rollwatch rollover unpin billing-2026-05 --reason "the migration is done"
    """
    with _writing() as (snapshot, _):
        found = snapshot.state(rollover, now_ms()).rollover
        chosen = found.from_version if version is None else version
        snapshot.unpin(found.key, chosen, by=who(by), reason=reason, now_ms=now_ms())
    say(f"{found.key} v{chosen} is not pinned any more")
