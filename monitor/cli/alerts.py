"""`rollwatch alerts`: what people were told, and why or why not; acknowledge, snooze; see and try the messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.common import AsJson, By, emit, now_ms, opened_store, say, settings, show_table, who
from monitor.core.alerts import AlertKind
from monitor.core.instants import parse_duration, parse_rfc3339, rfc3339
from monitor.core.untrusted import harmless
from monitor.errors import ConfigError, Undelivered

if TYPE_CHECKING:
    from monitor.notify.desk import AlertDesk
    from monitor.ports import Store

app = typer.Typer(no_args_is_help=True, help="What people were told, why or why not, and how it looks.")

Episodes = Annotated[list[str], typer.Argument(metavar="EPISODE...", help="As `rollwatch alerts list` shows them.")]
Kinds = Annotated[
    list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind; may be given several times.")
]
_OVERVIEW = "overview"
_MOST_READ = 10_000


@app.callback()
def alerts() -> None:
    """Look at what people were told."""


@app.command("list")
def list_(
    rollover: Annotated[str | None, typer.Option(help="Only of this rollover.")] = None,
    sent: Annotated[bool, typer.Option("--sent", help="Instead: what left, what waits, what was refused.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show each decision to tell or not to tell somebody, with its reason, newest first.

    $ rollwatch alerts list --rollover billing-2026-05
    """
    with opened_store() as store:
        if sent:
            _show_sent(store, rollover, limit, as_json=as_json)
            return
        with store.snapshot() as snapshot:
            rows = snapshot.audit_entries(rollover=rollover, kind="alert", limit=limit)
    if as_json:
        emit({"alerts": [{"seq": each.seq, **each.body} for each in rows]})
        return
    show_table(
        ["At", "Told", "Why", "Severity", "Kind", "Cause", "Episode", "What"],
        [[*_row(each.body)] for each in rows],
        empty="nothing has been told, and nothing held back",
    )


def _row(body: Mapping[str, Any]) -> list[object]:
    alert = body["alert"]
    told = "yes" if body["notified"] else "no"
    named = ("severity", "kind", "cause", "episode", "text")
    return [alert["at"], told, body["reason"], *(alert[name] for name in named)]


def _show_sent(store: Store, rollover: str | None, limit: int, *, as_json: bool) -> None:
    rows = [each for each in store.notifications(limit=limit) if rollover in (None, each.order_key)]
    waiting = store.outbox_size()
    refused = [each for each in store.dead_messages(limit=limit) if rollover in (None, each.message.order_key)]
    if as_json:
        sent = [
            {
                "sent_at": rfc3339(each.sent_at_ms),
                "sender": each.channel,
                "about": each.order_key,
                "reason": each.reason,
                "receipt": each.receipt,
                "dedup_key": each.dedup_key,
            }
            for each in rows
        ]
        dead = [
            {
                "at": rfc3339(each.message.created_at_ms),
                "sender": each.message.channel,
                "about": each.message.order_key,
                "reason": each.message.reason,
                "attempts": each.attempts,
                "error": each.error,
                "dedup_key": each.message.dedup_key,
            }
            for each in refused
        ]
        emit({"sent": sent, "waiting": waiting, "refused": dead})
        return
    show_table(
        ["Sent", "By", "About", "Why", "Receipt"],
        [[rfc3339(each.sent_at_ms), each.channel, each.order_key, each.reason, each.receipt] for each in rows],
        empty="nothing has been sent",
    )
    say(f"{waiting} waiting to be sent, {len(refused)} refused for good")
    for each in refused:
        message, answer = each.message, harmless(each.error, limit=300)
        say(f"refused: {message.channel}, {harmless(message.order_key)}, {message.reason}: {answer}")


@app.command()
def show(episode: Annotated[str, typer.Argument(metavar="EPISODE")], as_json: AsJson = False) -> None:
    """Show all of one episode: what was told when, why or why not, with the evidence, and who took it on.

    $ rollwatch alerts show 'straggler:billing-2026-05:acme/10.0.0.7'
    """
    with opened_store() as store, store.snapshot() as snapshot:
        rows = [
            each
            for kind in ("alert", "alert.acknowledged", "alert.snoozed")
            for each in snapshot.audit_entries(kind=kind, limit=_MOST_READ)
            if episode in (each.body.get("episode"), (each.body.get("alert") or {}).get("episode"))  # type: ignore[union-attr] # an object
        ]
    rows.sort(key=lambda each: each.seq)
    if as_json:
        emit({"episode": episode, "entries": [{"kind": each.kind, "seq": each.seq, **each.body} for each in rows]})
    else:
        lines: list[list[object]] = []
        for each in rows:
            body: Mapping[str, Any] = each.body
            if each.kind != "alert":
                lines.append([rfc3339(each.at_ms), each.kind.removeprefix("alert."), body["by"], None, None])
                continue
            alert = body["alert"]
            told = "told" if body["notified"] else "not told"
            evidence = ", ".join(f"{name}={value}" for name, value in alert["evidence"].items())
            lines.append([alert["at"], told, body["reason"], alert["text"], evidence])
        show_table(["At", "What", "Why or who", "Text", "Evidence"], lines, empty="nothing is known of that episode")
    if not rows:
        raise typer.Exit(1)


def _desk(store: Store) -> AlertDesk:
    from monitor.daemon.notifying import notify_settings  # noqa: PLC0415 - only commands that act pay for it
    from monitor.notify.desk import AlertDesk  # noqa: PLC0415 - as above
    from monitor.notify.notifier import Notifier  # noqa: PLC0415 - as above

    return AlertDesk(store=store, notifier=Notifier(notify_settings(settings())), now_ms=now_ms)


def _answer(text: str) -> None:
    """Say it; that nothing is known of any of them is a negative answer."""
    say(text)
    if text.startswith("Nothing"):
        raise typer.Exit(1)


@app.command()
def ack(episodes: Episodes, by: By = None) -> None:
    """Take episodes on: their reminders rest until they get worse.

    $ rollwatch alerts ack 'straggler:billing-2026-05:acme/10.0.0.7'
    """
    with opened_store() as store:
        _answer(_desk(store).acknowledge(episodes, by=who(by)))


@app.command()
def snooze(
    episodes: Episodes,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="Such as 4h or 2d.")] = "4h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Instead: until then (RFC 3339).")] = None,
    by: By = None,
) -> None:
    """Hold back everything of episodes but their end, for a while.

    $ rollwatch alerts snooze 'straggler:billing-2026-05:acme/10.0.0.7' --for 2d
    """
    try:
        length_ms = parse_duration(for_) if until is None else parse_rfc3339(until) - now_ms()
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"expected a duration such as 4h, or a time such as 2026-05-01T00:00:00Z: {error}") from None
    if length_ms <= 0:
        raise ConfigError("that is over already")
    with opened_store() as store:
        _answer(_desk(store).snooze(episodes, by=who(by), for_ms=length_ms))


def _chosen(kinds: list[str] | None, channel: str) -> Mapping[str, Mapping[str, Any]]:
    from monitor.notify.samples import samples  # noqa: PLC0415 - beside its one use

    made = samples(channel=channel, at_ms=now_ms())
    unknown = sorted(set(kinds or ()) - set(made))
    if unknown:
        raise ConfigError(f"no such kind: {', '.join(unknown)}; known: {', '.join(made)}")
    return {name: body for name, body in made.items() if not kinds or name in kinds}


@app.command()
def preview(kind: Kinds = None, as_json: AsJson = False) -> None:
    """Show how each kind looks in Slack: for this terminal, or (`--json`) as Block Kit for Slack's own builder.

    $ rollwatch alerts preview --kind straggler --json
    """
    from monitor.adapters.slack.render import Renderer  # noqa: PLC0415 - only here is Slack's library needed
    from monitor.adapters.slack.terminal import as_text  # noqa: PLC0415 - as above

    given = settings()
    renderer = Renderer(
        page_url=given.notify.page_url,
        runbook_url=given.notify.runbook_url,
        interactive=given.slack.app_token is not None,
    )
    made = {name: renderer.render(body) for name, body in _chosen(kind, given.slack.channel or "#rollovers").items()}
    if as_json:
        emit({name: {"text": each.text, "blocks": each.blocks} for name, each in made.items()})
        return
    for name, each in made.items():
        typer.echo(f"=== {name}\n{as_text(each.blocks)}\n")


@app.command("test")
def send_samples(
    kind: Kinds = None,
    channel: Annotated[str | None, typer.Option(help="Slack channel (default: ROLLWATCH_SLACK__CHANNEL).")] = None,
) -> None:
    """Send a sample of each kind, now, by every sender that is configured. Exit code 1: one did not arrive.

    $ rollwatch alerts test --channel '#rollwatch-test'
    """
    from monitor.daemon.notifying import couriers  # noqa: PLC0415 - beside its one use

    given = settings()
    chosen = couriers(given, now_ms=now_ms)
    if not chosen:
        raise ConfigError("no sender is configured: set ROLLWATCH_SLACK__BOT_TOKEN or ROLLWATCH_WEBHOOK__URL")
    where = channel or given.slack.channel
    if "slack" in chosen and where is None:
        raise ConfigError("which channel? Give --channel or set ROLLWATCH_SLACK__CHANNEL")
    failed = 0
    for name, body in _chosen(kind, where or "").items():
        for sender, courier in chosen.items():
            if sender != "slack" and name == _OVERVIEW:
                continue
            sent = body if sender == "slack" else _copy(name)
            try:
                courier.deliver(sent, key=f"sample:{name}:{now_ms()}", places={})
            except Undelivered as fault:
                failed += 1
                say(f"{sender} {name}: not sent: {fault}")
            else:
                say(f"{sender} {name}: sent")
    if failed:
        raise typer.Exit(1)


def _copy(name: str) -> Mapping[str, Any]:
    """Return what senders beside Slack get of a kind."""
    from monitor.notify import bodies  # noqa: PLC0415 - beside its one use
    from monitor.notify.samples import sample_alert  # noqa: PLC0415 - as above

    return bodies.alert(channel="", told=sample_alert(AlertKind(name), now_ms()), why="first", thread_of=None)
