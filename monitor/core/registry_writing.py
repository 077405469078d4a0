"""Writes a registry in the form of `keys.yaml`: for `keys list --json`, for storing, and as a template to edit.

`parse_registry(registry_as_yaml(r), name=…) == r` for every registry that a file can hold (a property test holds it).
Fields without a value are left out.
"""

from __future__ import annotations

from typing import cast

import yaml

from monitor.core.decision import Json
from monitor.core.instants import rfc3339
from monitor.core.registry import Gateway, Key, Noise, Owner, Pin, Registry, Rollover, Unmanaged, Waiver


def registry_as_json(registry: Registry) -> dict[str, Json]:
    """Return the whole registry; sections without entries are left out."""
    return _given(
        keys=[key_as_json(each) for each in registry.keys],
        gateways=[gateway_as_json(each) for each in registry.gateways],
        rollovers=[rollover_as_json(each) for each in registry.rollovers],
        pins=[pin_as_json(each) for each in registry.pins],
        waivers=[waiver_as_json(each) for each in registry.waivers],
        unmanaged=[unmanaged_as_json(each) for each in registry.unmanaged],
        noise=[noise_as_json(each) for each in registry.noise],
    )


def registry_as_yaml(registry: Registry) -> str:
    """Return the text of a file that reads back as this registry."""
    return yaml.safe_dump(registry_as_json(registry), sort_keys=False, allow_unicode=True, width=120)


def key_as_json(key: Key) -> dict[str, Json]:
    """Return one key with its versions."""
    return _given(
        key=key.key,
        owner=owner_as_json(key.owner),
        versions=[
            _given(
                version=each.version,
                credentials=list(each.credentials),
                created_at=_time(each.created_at_ms),
                expires_at=_time(each.expires_at_ms),
                scopes=list(each.scopes),
            )
            for each in key.versions
        ],
        clients=list(key.clients),
        tier=key.tier,
        rotate_every=_duration(key.rotate_every_ms),
    )


def owner_as_json(owner: Owner) -> dict[str, Json]:
    """Return an owner."""
    return _given(
        team=owner.team,
        slack=owner.slack,
        timezone=owner.timezone,
        email=owner.email,
        person=owner.person,
        working_hours=owner.working_hours,
        escalation=owner.escalation,
    )


def gateway_as_json(gateway: Gateway) -> dict[str, Json]:
    """Return one gateway."""
    return _given(
        gateway=gateway.gateway,
        region=gateway.region,
        max_silence=_duration(gateway.max_silence_ms),
        **{"from": _time(gateway.from_ms)},
        until=_time(gateway.until_ms),
    )


def rollover_as_json(rollover: Rollover) -> dict[str, Json]:
    """Return one rollover, as planned or as it went."""
    return _given(
        id=rollover.id,
        key=rollover.key,
        **{"from": rollover.from_version},
        to=rollover.to_version,
        started_at=_time(rollover.started_at_ms),
        deadline=_time(rollover.deadline_ms),
        retired_at=_time(rollover.retired_at_ms),
        channel=rollover.channel,
        policy=policy_as_json(rollover.policy),
        regions=[
            _given(region=each.region, started_at=_time(each.started_at_ms), deadline=_time(each.deadline_ms))
            for each in rollover.regions
        ],
    )


def policy_as_json(policy: tuple[tuple[str, object], ...]) -> dict[str, Json]:
    """Return a rollover's own policy, as written."""
    return {name: cast("Json", list(raw) if isinstance(raw, tuple) else raw) for name, raw in policy}


def pin_as_json(pin: Pin) -> dict[str, Json]:
    """Return one pin."""
    return _given(key=pin.key, version=pin.version, reason=pin.reason, by=pin.by, until=_time(pin.until_ms))


def waiver_as_json(waiver: Waiver) -> dict[str, Json]:
    """Return one waiver."""
    return _given(
        rollover=waiver.rollover,
        client=waiver.client,
        source=waiver.source,
        reason=waiver.reason,
        by=waiver.by,
        **{"from": _time(waiver.from_ms)},
        until=_time(waiver.until_ms),
    )


def unmanaged_as_json(unmanaged: Unmanaged) -> dict[str, Json]:
    """Return one thing that is knowingly not under rotation."""
    return _given(
        credential=unmanaged.credential,
        client=unmanaged.client,
        gateway=unmanaged.gateway,
        reason=unmanaged.reason,
        by=unmanaged.by,
        until=_time(unmanaged.until_ms),
    )


def noise_as_json(noise: Noise) -> dict[str, Json]:
    """Return one client that is known not to matter."""
    return _given(
        client=noise.client,
        source=noise.source,
        reason=noise.reason,
        by=noise.by,
        until=_time(noise.until_ms),
        max_per_day=noise.max_per_day,
    )


def _given(**values: Json) -> dict[str, Json]:
    """Leave out what has no value."""
    return {name: value for name, value in values.items() if value is not None and value not in ([], {})}


def _time(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(epoch_ms)


def _duration(duration_ms: int | None) -> str | None:
    """Return a duration without loss: whole milliseconds where no larger unit fits."""
    if duration_ms is None:
        return None
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if duration_ms % size == 0:
            return f"{duration_ms // size}{unit}"
    return f"{duration_ms}ms"
