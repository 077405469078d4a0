"""`rollwatch doctor`: looks at everything the daemon needs, and says what to do about what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from monitor.cli import EXIT_NEGATIVE
from monitor.cli.common import AsJson, emit, make_folder, now_ms, settings
from monitor.core.instants import DAY_MS, SECOND_MS, format_duration
from monitor.core.untrusted import harmless
from monitor.errors import ConfigError, RollwatchError

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.core.evidence import GatewayLiveness
    from monitor.core.policy import Policy
    from monitor.core.registry import Gateway
    from monitor.ports import Store

_SKEW_MS = 2 * SECOND_MS


class Health(StrEnum):
    """How something stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `advice` says what to do where it is not well."""

    name: str
    health: Health
    found: str
    advice: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Look at configuration, pepper, database, clocks, Kafka, topics, gateways and the daemon; say what to do.

    Exit code 0 when nothing is broken, 1 otherwise.

    $ rollwatch doctor
    """
    checks = list(_all())
    if as_json:
        emit(
            {
                "checks": [
                    {"name": each.name, "health": each.health.value, "found": each.found, "advice": each.advice}
                    for each in checks
                ]
            }
        )
    else:
        for each in checks:
            typer.echo(f"{each.health.value:5} {each.name}: {harmless(each.found, limit=500)}")
            if each.advice:
                typer.echo(f"      -> {each.advice}")
    raise typer.Exit(EXIT_NEGATIVE if any(each.health is Health.FAIL for each in checks) else 0)


def _all() -> Iterator[Check]:
    try:
        in_force = settings()
    except ConfigError as fault:
        yield Check(name="configuration", health=Health.FAIL, found=str(fault), advice="correct it, then look again")
        return
    yield Check(name="configuration", health=Health.OK, found="it can be used (`rollwatch config check` shows it)")
    yield from _pepper(in_force)
    yield from _keys_file(in_force)
    yield from _store(in_force)
    yield from _kafka(in_force)
    yield from _daemon(in_force)


def _tried(name: str, look: Callable[[], Iterator[Check]], advice: str) -> Iterator[Check]:
    """Yield what a look finds; a fault of ours is a finding."""
    try:
        yield from list(look())
    except RollwatchError as fault:
        yield Check(name=name, health=Health.FAIL, found=str(fault), advice=advice)
    except Exception as error:  # noqa: BLE001 - a doctor does not fall ill: whatever it meets is a finding
        yield Check(name=name, health=Health.FAIL, found=f"{type(error).__name__}: {error}", advice=advice)


def _pepper(in_force: Settings) -> Iterator[Check]:
    from monitor.daemon.pepper import known_pepper, pepper_file  # noqa: PLC0415 - start-up time

    def look() -> Iterator[Check]:
        if in_force.pepper is not None:
            yield Check(name="pepper", health=Health.OK, found="configured")
        elif known_pepper(in_force) is not None:
            yield Check(
                name="pepper",
                health=Health.WARN,
                found=f"not configured; the one in {pepper_file(in_force)} is used",
                advice="on several machines, set ROLLWATCH_PEPPER_FILE to the same secret everywhere",
            )
        else:
            yield Check(
                name="pepper",
                health=Health.WARN,
                found="none: presented keys cannot be compared with the registry",
                advice="set ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE, and register `rollwatch fingerprint`s",
            )

    yield from _tried("pepper", look, "check ROLLWATCH_PEPPER_FILE")


def _keys_file(in_force: Settings) -> Iterator[Check]:
    path = in_force.keys_file
    if path is None:
        return
    from monitor.core.registry_file import parse_registry  # noqa: PLC0415 - YAML only here

    def look() -> Iterator[Check]:
        registry = parse_registry(path.read_text("utf-8"), name=str(path))
        yield Check(
            name="keys file",
            health=Health.OK,
            found=f"{path}: {len(registry.keys)} keys, {len(registry.rollovers)} rollovers",
        )

    yield from _tried("keys file", look, "correct the file; until then the last good one stays in force")


def _store(in_force: Settings) -> Iterator[Check]:
    from monitor.adapters.sql import open_store, upgrade  # noqa: PLC0415 - SQLAlchemy only here
    from monitor.config import masked_url  # noqa: PLC0415

    url = in_force.store_url()
    shown = masked_url(url)

    def look() -> Iterator[Check]:
        make_folder(in_force)
        upgrade(url)
        store = open_store(url)
        try:
            store.ping()
            yield Check(name="database", health=Health.OK, found=f"{shown} answers, its schema is up to date")
            yield from _evidence(in_force, store)
        finally:
            store.close()

    yield from _tried("database", look, "start it, or correct ROLLWATCH_STORE__URL; check user and permissions")


def _evidence(in_force: Settings, store: Store) -> Iterator[Check]:
    policy = in_force.default_policy()
    at_ms = now_ms()
    with store.snapshot() as snapshot:
        registry = snapshot.registry()
        telemetry = snapshot.telemetry(at_ms, fine_window_ms=policy.quiet_window_ms, lookback_ms=policy.lookback_ms)
        watch = snapshot.memo("watch")
    skew = telemetry.clock_skew_ms
    if skew is not None and abs(skew) > _SKEW_MS:
        yield Check(
            name="clocks",
            health=Health.FAIL if abs(skew) > policy.max_clock_skew_ms else Health.WARN,
            found=f"the database's clock and ours differ by {skew / SECOND_MS:.1f} s",
            advice="run NTP on both machines",
        )
    else:
        yield Check(name="clocks", health=Health.OK, found="the database's clock and ours agree")
    yield from _registry(registry.keys, registry.rollovers, named=in_force.keys_file is not None)
    for partition in telemetry.partitions:
        if partition.stopped:
            yield Check(
                name=f"partition {partition.topic}:{partition.partition}",
                health=Health.FAIL,
                found=f"stands still: {partition.stopped}",
                advice=f"mend it, then: rollwatch ingest resume {partition.topic}:{partition.partition} --reason TEXT",
            )
    yield from _gateways(registry.gateways, telemetry.gateways, policy, at_ms)
    rejected = sum(each.count for each in telemetry.rejects if each.last_ms > at_ms - DAY_MS)
    if rejected:
        yield Check(
            name="rejects",
            health=Health.WARN,
            found=f"{rejected} elements of the last day were not events",
            advice="see v_rejects; try the records with `rollwatch mapping test`",
        )
    looked_ms = watch.get("at_ms") if watch is not None else None
    if not isinstance(looked_ms, int) or at_ms - looked_ms > in_force.watch.stale_after * SECOND_MS:
        yield Check(
            name="watch loop",
            health=Health.FAIL,
            found="nobody looks at the rollovers: every decision is UNKNOWN",
            advice="start `rollwatch run` with the role `all` or `watch`",
        )
    else:
        yield Check(name="watch loop", health=Health.OK, found=f"last looked {(at_ms - looked_ms) / 1000:.0f} s ago")


def _gateways(
    registered: Sequence[Gateway], heard: Sequence[GatewayLiveness], policy: Policy, at_ms: int
) -> Iterator[Check]:
    for gateway in registered:
        last_ms = max(
            (
                each.last_ms
                for each in heard
                if each.gateway == gateway.gateway and gateway.region in (None, each.region)
            ),
            default=None,
        )
        name = f"gateway {gateway.gateway}"
        if last_ms is None:
            yield Check(
                name=name,
                health=Health.FAIL,
                found="never heard",
                advice="check its log shipper, and that the registry has the name that its records have",
            )
            continue
        silent_ms = max(at_ms - last_ms, 0)
        silent = silent_ms > (gateway.max_silence_ms or policy.max_silence_ms)
        yield Check(
            name=name,
            health=Health.FAIL if silent else Health.OK,
            found=f"last heard {format_duration(silent_ms // SECOND_MS * SECOND_MS)} ago",
            advice="check its log shipper" if silent else "",
        )


def _registry(keys: tuple[object, ...], rollovers: tuple[object, ...], *, named: bool) -> Iterator[Check]:
    if keys:
        yield Check(name="registry", health=Health.OK, found=f"{len(keys)} keys, {len(rollovers)} rollovers")
    else:
        yield Check(
            name="registry",
            health=Health.WARN,
            found="no keys",
            advice="start `rollwatch run`, which reads the keys file"
            if named
            else "`rollwatch keys import keys.yaml`, or set ROLLWATCH_KEYS_FILE",
        )


def _kafka(in_force: Settings) -> Iterator[Check]:
    kafka = in_force.kafka
    if not kafka.servers() or not kafka.topics:
        yield Check(
            name="kafka",
            health=Health.WARN,
            found="not configured: nothing is read",
            advice="set ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS and ROLLWATCH_KAFKA__TOPICS=name=preset@gateway/region",
        )
        return
    from monitor.adapters.kafka_looker import KafkaLooker, KafkaSettings  # noqa: PLC0415 - kafka-python only here
    from monitor.daemon.ingest import check_topics  # noqa: PLC0415

    topics = tuple(each.name for each in kafka.topics)
    given = KafkaSettings(bootstrap_servers=kafka.servers(), topics=topics, security=kafka.security())

    def look() -> Iterator[Check]:
        looker = KafkaLooker(given)
        began = time.monotonic()
        try:
            described = looker.topics(topics)
        finally:
            looker.close()
        took = time.monotonic() - began
        yield Check(name="kafka", health=Health.OK, found=f"{kafka.bootstrap_servers} answered in {took:.1f} s")
        for name, found in described.items():
            if found is None:
                yield Check(
                    name=f"topic {name}",
                    health=Health.FAIL,
                    found="does not exist",
                    advice="create it, or correct ROLLWATCH_KAFKA__TOPICS",
                )
            else:
                yield Check(name=f"topic {name}", health=Health.OK, found=f"{len(found['partitions'])} partitions")

    try:
        check_topics(in_force)
    except ConfigError as fault:
        yield Check(name="kafka", health=Health.FAIL, found=str(fault), advice="correct it: the daemon does not start")
        return
    yield from _tried("kafka", look, "check ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS, security settings, and the network")


def _daemon(in_force: Settings) -> Iterator[Check]:
    from monitor.cli.http import Client  # noqa: PLC0415 - beside its one use

    del in_force
    answer = Client.to(None, token=None).get("/readyz")
    if not answer.status:
        yield Check(
            name="daemon",
            health=Health.WARN,
            found=answer.problem(),
            advice="start `rollwatch run`, or set ROLLWATCH_URL",
        )
        return
    reasons = (answer.json() or {}).get("reasons") or []
    yield Check(
        name="daemon",
        health=Health.FAIL if reasons else Health.OK,
        found="; ".join(map(str, reasons)) or f"{answer.url} is ready",
    )
