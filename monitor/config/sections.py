"""The tables of the configuration, with their defaults. Times are seconds; `90s` or `1h30m` may be written too."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from monitor.config.topics import Topic, parse_topics
from monitor.core.instants import DAY_MS, SECOND_MS, parse_duration
from monitor.core.rotation import RotationRule


def _seconds(given: object) -> object:
    """Return seconds of a number, a numeral or a duration such as `5m`."""
    if not isinstance(given, str):
        return given
    try:
        return float(given)
    except ValueError:
        return parse_duration(given.strip()) / SECOND_MS


Seconds = Annotated[float, BeforeValidator(_seconds)]


class Section(BaseModel):
    """A table: frozen, refuses unknown names, and its errors never quote what was given (it may be a secret)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KafkaClient(StrEnum):
    """Which client library reads Kafka."""

    KAFKA_PYTHON = "kafka-python"
    CONFLUENT = "confluent"


class KafkaSection(Section):
    """Where records come from. Without `bootstrap_servers` nothing is read from Kafka."""

    bootstrap_servers: str | None = None
    topics: tuple[Topic, ...] = ()
    group_id: str = "rollwatch"
    session_timeout: Seconds = Field(default=45.0, ge=1.0, le=1800.0)
    client: KafkaClient = KafkaClient.KAFKA_PYTHON
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_kerberos_service_name: str | None = None
    sasl_kerberos_domain_name: str | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: SecretStr | None = None
    ssl_crlfile: Path | None = None
    ssl_ciphers: str | None = None
    ssl_check_hostname: bool = True

    @field_validator("topics", mode="before")
    @classmethod
    def _topics(cls, given: object) -> tuple[Topic, ...]:
        return parse_topics(given)

    @field_validator("security_protocol")
    @classmethod
    def _protocol(cls, given: str) -> str:
        known = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
        if given.upper() not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return given.upper()

    def servers(self) -> tuple[str, ...]:
        """Return the bootstrap servers, each `host:port`."""
        return tuple(each.strip() for each in (self.bootstrap_servers or "").split(",") if each.strip())

    def security(self) -> dict[str, object]:
        """Return the security settings under kafka-python's names; secrets are bare in here."""
        made: dict[str, object] = {"security_protocol": self.security_protocol}
        if self.security_protocol.startswith("SASL"):
            password = self.sasl_plain_password or self.sasl_password
            made |= _present(
                sasl_mechanism=self.sasl_mechanism or "PLAIN",
                sasl_plain_username=self.sasl_plain_username or self.sasl_username,
                sasl_plain_password=password.get_secret_value() if password else None,
                sasl_kerberos_service_name=self.sasl_kerberos_service_name,
                sasl_kerberos_domain_name=self.sasl_kerberos_domain_name,
            )
        if self.security_protocol.endswith("SSL"):
            made |= _present(
                ssl_check_hostname=self.ssl_check_hostname,
                ssl_cafile=self.ssl_cafile and str(self.ssl_cafile),
                ssl_certfile=self.ssl_certfile and str(self.ssl_certfile),
                ssl_keyfile=self.ssl_keyfile and str(self.ssl_keyfile),
                ssl_password=self.ssl_password.get_secret_value() if self.ssl_password else None,
                ssl_crlfile=self.ssl_crlfile and str(self.ssl_crlfile),
                ssl_ciphers=self.ssl_ciphers,
            )
        return made


def _present(**given: object) -> dict[str, object]:
    return {name: value for name, value in given.items() if value is not None}


class StoreSection(Section):
    """Where everything is kept: an SQLAlchemy URL; empty: a SQLite file in the data folder."""

    url: SecretStr | None = None


class IngestSection(Section):
    """How records are taken in. `dedup_window` 0 counts repeated event ids each time."""

    flush_interval: Seconds = Field(default=5.0, gt=0, le=300)
    max_record_bytes: int = Field(default=65_536, ge=256)
    max_reject_ratio: float = Field(default=0.5, gt=0, le=1)
    dedup_window: Seconds = Field(default=0.0, ge=0)
    workers: int = Field(default=1, ge=1, le=256)


class ApiSection(Section):
    """Where the HTTP interface listens. Beyond loopback everything but health needs a token.

    prefix: the path under which a proxy publishes it. decision_timeout: a verdict that takes longer is `UNKNOWN`.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8780, ge=0, le=65_535)
    require_token: bool = False
    prefix: str = ""
    forwarded_allow_ips: str = "127.0.0.1"
    decision_timeout: Seconds = Field(default=10.0, gt=0, le=120)

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, given: str) -> str:
        cut = given.strip().strip("/")
        return f"/{cut}" if cut else ""


class WatchSection(Section):
    """The loop that decides and alerts.

    interval: between two looks at every rollover. stale_after: when its last look is older, a verdict is `UNKNOWN`.
    prune_every: between two clean-ups. detector: look for failed rollovers (without it, C8 compares rates alone).
    """

    interval: Seconds = Field(default=30.0, ge=1, le=60)
    stale_after: Seconds = Field(default=180.0, ge=10)
    prune_every: Seconds = Field(default=3_600.0, ge=60)
    detector: bool = True


class RotationSection(Section):
    """How old a version may get (a key's own `rotate_every` goes first), and how long before a rollover begins."""

    max_age_days: int = Field(default=90, ge=1)
    lead_days: int = Field(default=30, ge=0)

    def rule(self) -> RotationRule:
        """Return it as the core takes it."""
        return RotationRule(max_age_ms=self.max_age_days * DAY_MS, lead_ms=self.lead_days * DAY_MS)


class SlackSection(Section):
    """Slack's Web API; without a bot token nothing is sent there. The app token switches Socket Mode (buttons) on."""

    bot_token: SecretStr | None = None
    app_token: SecretStr | None = None
    channel: str | None = None
    security_channel: str | None = None
    escalate_to: str | None = None
    base_url: str | None = None


class WebhookSection(Section):
    """A signed generic webhook (CloudEvents), or what Alertmanager or PagerDuty expect.

    allow_private: also loopback, private and link-local addresses, and plain http there.
    """

    url: SecretStr | None = None
    secret: SecretStr | None = None
    shape: Literal["cloudevents", "alertmanager", "pagerduty"] = "cloudevents"
    allow_private: bool = False


class RouteSection(Section):
    """Sends alerts that fit elsewhere, or nowhere; patterns as in file names, the first route that fits wins."""

    key: str = "*"
    team: str = "*"
    client: str = "*"
    kind: str = "*"
    severity: str = "*"
    channel: str | None = None
    mute: bool = False


class NotifySection(Section):
    """When people may be bothered, and where links in messages lead."""

    timezone: str = "UTC"
    work_start: str = Field(default="09:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    work_end: str = Field(default="17:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    digest: Literal["off", "daily", "weekly"] = "off"
    page_url: str | None = None
    runbook_url: str | None = None
    routes: tuple[RouteSection, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, given: str) -> str:
        try:
            ZoneInfo(given)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError("expected an IANA time zone such as Europe/Berlin") from None
        return given


class RetentionSection(Section):
    """How long detail is kept, in days. Callers and totals are never dropped."""

    fine_days: int = Field(default=14, ge=1)
    coarse_days: int = Field(default=400, ge=1)
    failures_days: int = Field(default=14, ge=1)
    rejects_days: int = Field(default=30, ge=1)
    gateways_days: int = Field(default=14, ge=1)


class LogFormat(StrEnum):
    """`auto`: for people on a terminal, JSON everywhere else."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe record that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogSection(Section):
    """What is logged, to stderr."""

    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO
