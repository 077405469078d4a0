"""Every shape of the HTTP interface: what may be sent (checked), and what comes back (documented, with examples)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""As in `keys.yaml`: no database and no terminal has to bear a control character in a name."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True, pattern=_NO_CONTROLS)]
Reason = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=1_000, strip_whitespace=True, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
    ),
]
"""A sentence, which may have lines."""
Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True, pattern=r"^[^/\x00-\x1f\x7f-\x9f]*$"),
]
"""A name that stands in paths."""
Time = Annotated[str, Field(examples=["2026-05-01T00:00:00Z"], max_length=64)]


class Given(BaseModel):
    """Something sent to us: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class StartRollover(Given):
    """A rollover to begin, in the words of `keys.yaml`."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "billing-2026-05",
                    "key": "billing-api",
                    "from": 1,
                    "to": 2,
                    "started_at": "2026-05-01T00:00:00Z",
                    "deadline": "2026-06-01T00:00:00Z",
                    "policy": {"quiet_window": "3d"},
                }
            ]
        },
    )

    id: Id
    key: Name
    from_version: int = Field(alias="from", ge=0, le=2**31 - 1)
    to_version: int = Field(alias="to", ge=0, le=2**31 - 1)
    started_at: Time | None = Field(default=None, description="now, unless given")
    deadline: Time | None = None
    channel: Name | None = None
    policy: dict[str, Any] = Field(default_factory=dict)


class Step(Given):
    """One step of a rollover's life. `by` is used only where no token says who it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}, {"reason": "window agreed"}]})

    reason: Reason | None = None
    by: Name | None = None


class BeginBrownout(Step):
    """Begin a window: measured at every look, with a critical alert where it must end."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"accept": 3, "until": "2026-05-20T10:05:00Z"}]}
    )

    accept: int | None = Field(
        default=None, ge=0, le=10**9, description="end it above so many refused callers; default: as many as hold"
    )
    until: Time | None = Field(default=None, description="by when it must have ended")


class Retire(Step):
    """Retire the old version on a fresh GO. `evidence_hash`: only on that recorded, still valid GO."""

    evidence_hash: str | None = Field(default=None, max_length=200)


class Emergency(Given):
    """Retire a compromised version without a GO: needs a name and a reason. `override_pin` overrules a pin by name."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"by": "ana", "reason": "key found in a public repository"}]}
    )

    reason: Reason
    by: Name | None = None
    override_pin: bool = False
    approved_by: Name | None = None


class Waive(Given):
    """A dated, named acceptance of one caller; without `source` it covers all sources of the client."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"client": "globex", "source": "lab", "reason": "decommissioned", "until": "2026-06-10T00:00:00Z"}
            ]
        },
    )

    client: Name
    source: Name | None = None
    reason: Reason
    by: Name | None = None
    from_: Time | None = Field(default=None, alias="from")
    until: Time | None = None


class PinVersion(Given):
    """A hard veto on retiring a version; without `version` the rollover's old one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "retain for migration", "by": "ana"}]}
    )

    version: int | None = Field(default=None, ge=0, le=2**31 - 1)
    reason: Reason
    by: Name | None = None
    until: Time | None = None


class NeverUsed(Given):
    """Somebody vouches for it that the old version was never used."""

    reason: Reason
    by: Name | None = None


class KeyOwner(Given):
    """Whom to tell about a key."""

    team: Name | None = None
    slack: Name | None = None
    timezone: Name | None = None
    email: Name | None = None
    person: Name | None = None
    working_hours: Name | None = None
    escalation: Name | None = None


class KeyVersionBody(Given):
    """One version of a key and its credentials: ids, hashes or fingerprints, never secrets."""

    version: int = Field(ge=0, le=2**31 - 1)
    credentials: list[Name] = Field(min_length=1)
    created_at: Time | None = None
    expires_at: Time | None = None
    scopes: list[Name] | None = None


class KeyBody(Given):
    """A key in the words of `keys.yaml`; `key` may be left out (it is in the path)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "owner": {"team": "payments", "slack": "#payments-keys"},
                    "versions": [
                        {"version": 1, "credentials": ["cred-a1"], "created_at": "2025-11-01T00:00:00Z"},
                        {"version": 2, "credentials": ["cred-a2"], "created_at": "2026-05-01T00:00:00Z"},
                    ],
                    "clients": ["acme", "globex"],
                }
            ]
        },
    )

    key: Name | None = None
    owner: KeyOwner | None = None
    versions: list[KeyVersionBody] = Field(min_length=1)
    clients: list[Name] | None = None
    tier: Name | None = None
    rotate_every: Name | None = None


class Acknowledge(Given):
    """Somebody has taken an alert's episode on; reminders rest until it gets worse."""

    episode: Name
    by: Name | None = None


class Snooze(Acknowledge):
    """Hold an episode's messages back until then."""

    until: Time


class NewToken(Given):
    """A token to make; it is in the answer once and never again."""

    name: Name
    scope: Literal["read", "operate", "admin"]


# --- what comes back ------------------------------------------------------------------------------------------------


class Problem(BaseModel):
    """Why a request was not served."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": {"reason": "not_found", "message": "no rollover 'billing'"}}]}
    )

    error: dict[str, str]


class ClauseBody(BaseModel):
    """One clause's answer."""

    id: str
    status: Literal["pass", "fail", "unknown"]
    summary: str
    evidence: dict[str, Any]


class CallerBody(BaseModel):
    """A caller as its logs name it: untrusted text."""

    client: str | None
    source: str | None


class BlockerBody(BaseModel):
    """One reason against GO and what would clear it; `caller` is null where evidence is missing."""

    clause: str
    caller: CallerBody | None
    state: str | None
    last_seen: str | None
    next_expected: str | None
    clears_at: str | None = None
    requests_per_day: float | None
    summary: str | None = None
    what_would_clear_it: str


class BlastRadiusBody(BaseModel):
    """What would break if the old version were retired now."""

    callers: int | None
    requests_per_day: float | None
    share_of_requests: float | None = None
    next_hit: str | None


class EtaBody(BaseModel):
    """When GO can come at the earliest, and what limits it."""

    earliest_go: str | None
    state: Literal["draining", "stalled", "waiting", "ready"]
    limited_by: str | None


class DecisionBody(BaseModel):
    """The gate's answer. `key` and the versions are null only where nothing could be read."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "rollover": "billing-2026-05",
                    "key": "billing-api",
                    "from_version": 1,
                    "to_version": 2,
                    "region": None,
                    "decision": "NO_GO",
                    "evaluated_at": "2026-05-20T10:00:00Z",
                    "valid_until": "2026-05-20T10:10:00Z",
                    "evidence_hash": "9f2c…",
                    "clauses": [{"id": "C7", "status": "fail", "summary": "1 caller not proven on v2", "evidence": {}}],
                    "blockers": [
                        {
                            "clause": "C7",
                            "caller": {"client": "acme", "source": "eu-batch"},
                            "state": "due",
                            "last_seen": "2026-05-01T02:00:00Z",
                            "next_expected": "2026-06-01T02:00:00Z",
                            "clears_at": None,
                            "requests_per_day": 0.03,
                            "summary": "monthly run not yet seen on v2",
                            "what_would_clear_it": "one success on v2, or a waiver",
                        }
                    ],
                    "blast_radius": {
                        "callers": 1,
                        "requests_per_day": 0.03,
                        "share_of_requests": 0.001,
                        "next_hit": "2026-06-01T02:00:00Z",
                    },
                    "eta": {
                        "earliest_go": "2026-06-02T04:00:00Z",
                        "state": "waiting",
                        "limited_by": "C7 acme/eu-batch",
                    },
                    "telemetry_notes": [],
                }
            ]
        },
    )

    rollover: str
    key: str | None
    from_version: int | None
    to_version: int | None
    region: str | None = None
    decision: Literal["GO", "NO_GO", "UNKNOWN"]
    evaluated_at: str
    valid_until: str
    evidence_hash: str
    clauses: list[ClauseBody]
    blockers: list[BlockerBody]
    blast_radius: BlastRadiusBody
    eta: EtaBody
    telemetry_notes: list[str] = []


class RolloverBody(BaseModel):
    """A rollover, where it stands, and its latest verdict."""

    model_config = ConfigDict(extra="allow")

    id: str
    key: str
    from_version: int
    to_version: int
    started_at: str
    deadline: str | None
    retired_at: str | None
    state: str
    since: str
    by: str | None
    reason: str | None
    decision: Literal["GO", "NO_GO", "UNKNOWN"] | None
    evaluated_at: str | None


class RolloverList(BaseModel):
    """All rollovers."""

    rollovers: list[RolloverBody]


class Stepped(BaseModel):
    """Where a rollover stands after a step, and the decision that it went by."""

    rollover: str
    state: str
    by: str
    decision: DecisionBody | None = None


class Rows(BaseModel):
    """A list under its own name."""

    model_config = ConfigDict(extra="allow")


class Health(BaseModel):
    """`reasons` say what keeps it from being ready."""

    status: str
    reasons: list[str] = []
