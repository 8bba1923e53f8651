"""The settings by subject. `Settings` has all of them, and checks one subject against another.

Each class checks what can be judged by its own fields alone.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from tokensvc.core.api_key import DEFAULT_PREFIX, MAX_KEY_LIFE_SECONDS, check_prefix
from tokensvc.core.audience import parse_audience
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.keyring import RotationPolicy
from tokensvc.core.leak import LeakPolicy  # noqa: TC001 - pydantic reads it
from tokensvc.core.url import find_origin, is_loopback, is_wildcard, parse_issuer

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor


class Subject(BaseModel):
    """The settings of one subject.

    Only `Settings` checks values, so what checks them is built for it alone: commands start sooner.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )


class AddressSettings(Subject):
    """Where the service listens, and how it is reached."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="serves /metrics there, and no longer on the public port"
    )
    admin_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="serves the operations there, and no longer on the public port",
    )
    issuer: str = ""
    former_issuer: str = Field(
        "", description="the issuer that the database has kept, if it is to be replaced"
    )
    # Google's balancer keeps idle connections for 600 s, which is the longest that we know of.
    keepalive_seconds: int = Field(
        620,
        ge=1,
        le=86_400,
        description="how long a connection without a request is kept; longer than balancers do",
    )
    dashboard_origin: str = Field(
        "", description="of the dashboard in browsers, if it is not that of the issuer"
    )
    trusted_proxy_hops: int = Field(
        0, ge=0, le=10, description="how many proxies of the operator append to X-Forwarded-For"
    )

    @field_validator("issuer", "former_issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        return parse_issuer(value) if value.strip() else ""

    @field_validator("dashboard_origin")
    @classmethod
    def _check_origin(cls, value: str) -> str:
        if value and find_origin(value) != value:
            raise ValueError('must be an origin, like "https://admin.example": nothing after it')
        return value

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError(
                f"TOKENSVC_METRICS_PORT ({self.port}) must differ from TOKENSVC_PORT; leave it "
                "out to have the metrics on the same port"
            )
        if self.admin_port is not None and self.admin_port in {self.port, self.metrics_port}:
            raise ValueError(
                f"TOKENSVC_ADMIN_PORT ({self.admin_port}) must differ from TOKENSVC_PORT and "
                "TOKENSVC_METRICS_PORT; leave it out to have the operations on the same port"
            )
        return self

    @property
    def issuer_url(self) -> str:
        """The issuer in the setting, else the address that the service listens on."""
        return self.issuer or self.listening_url

    @property
    def listening_url(self) -> str:
        """The address that the service listens on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def public_issuer(self) -> str | None:
        """The issuer, None if it is one of this machine alone, for a trial."""
        host = urlsplit(self.issuer).hostname or self.host
        return None if is_loopback(host) or is_wildcard(host) else self.issuer_url

    @property
    def is_issuer_unreachable(self) -> bool:
        """Whether tokens name an issuer that is no address: every one of the machine."""
        return not self.issuer and is_wildcard(self.host)


class DatabaseSettings(Subject):
    """Which Postgres holds everything."""

    database_url: SecretStr | None = None
    direct_database_url: SecretStr | None = Field(
        None, description="leads past a pooler in transaction mode: for LISTEN and the ledger"
    )
    migration_database_url: SecretStr | None = Field(
        None, description="the owner of the tables, if the service has another role"
    )
    data_dir: Path = Path(".tokensvc")
    postgres_bin_dir: Path | None = None
    database_wait: int | None = Field(
        None,
        ge=0,
        description="how long a start waits for Postgres; `serve` without limit if unset",
    )
    # There are at least two, because the doctor needs two at once to look for a pooler.
    pool_size: int = Field(10, ge=2, le=200)
    usage_days: int = Field(90, ge=1, description="for how many days usage is kept")

    @property
    def direct_url(self) -> str | None:
        """The URL that leads past a pooler, None if there is no pooler."""
        url = self.direct_database_url
        return None if url is None else url.get_secret_value()


class AuditSettings(Subject):
    """What is kept of addresses, and for how long."""

    address_detail: Literal["full", "network"] = Field(
        "full", description="what the audit trail keeps: the address, or its /24 or /48"
    )
    address_days: int | None = Field(
        None, ge=1, description="after how many days addresses and networks are deleted"
    )

    def keep_address(self, actor: Actor) -> Actor:
        """Return an actor with what may be kept of the address."""
        return actor if self.address_detail == "full" else actor.shorten()


class MasterKeySettings(Subject):
    """Where the master key is."""

    keys_dir: Path = Path("keys")
    master_key: SecretStr | None = Field(None, description="32 bytes in base64")
    master_key_file: Path | None = None
    is_credential: bool = Field(
        default=False, description="the master key file lies in systemd's credential folder"
    )

    @property
    def master_key_path(self) -> Path:
        """The file of the master key."""
        return self.master_key_file or self.keys_dir / "master.key"


class ExchangeSettings(Subject):
    """What an exchange gives, and how many may wait for one."""

    default_audience: str = "api"
    token_ttl: int = Field(600, ge=1)
    # Followers let no revocation live longer than 31 days, so no token may.
    max_token_ttl: int = Field(3600, ge=1, le=30 * 86_400)
    key_prefix: str = DEFAULT_PREFIX
    keys_per_account: int = Field(
        10_000,
        ge=1,
        description="how many keys an account may have, besides revoked and expired ones",
    )
    max_key_life: int | None = Field(
        None,
        ge=1,
        le=MAX_KEY_LIFE_SECONDS,
        description="the longest life that callers below tokensvc:admin may give to a key",
    )
    idle_key_days: int | None = Field(
        None, ge=1, le=36_600, description="after how many days without use a key is disabled"
    )
    ledger_queue: int = Field(
        2000,
        ge=1,
        description="how many exchanges may wait for Postgres; others are refused at once",
    )
    calls_per_minute: int = Field(
        600, ge=1, description="how many operations a key and its tokens may call in a minute"
    )
    unknown_keys_per_minute: int = Field(
        100,
        ge=1,
        description="per client network and process; after that, unknown keys are slowed down",
    )
    refusals_per_minute: int = Field(
        300,
        ge=1,
        description="per client network and process; after that, refusals come a second late",
    )

    leaked_keys: LeakPolicy = Field(
        "disable", description="what becomes of a key that is reported as leaked"
    )
    leak_reports_per_minute: int = Field(
        60, ge=1, description="per client network and process, how often leaks may be reported"
    )

    @property
    def longest_key_life(self) -> timedelta | None:
        """The longest life of keys that callers below admin make, None for any."""
        return None if self.max_key_life is None else timedelta(seconds=self.max_key_life)

    @field_validator("key_prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        try:
            return check_prefix(value)
        except InvalidInputError as error:
            raise ValueError(error.message) from error

    @field_validator("default_audience")
    @classmethod
    def _check_default_audience(cls, value: str) -> str:
        try:
            return parse_audience(value)
        except InvalidInputError as error:
            raise ValueError(error.message) from error

    @model_validator(mode="after")
    def _check_token_life(self) -> Self:
        if self.token_ttl > self.max_token_ttl:
            raise ValueError(
                f"TOKENSVC_TOKEN_TTL ({self.token_ttl}) must not exceed "
                f"TOKENSVC_MAX_TOKEN_TTL ({self.max_token_ttl})"
            )
        return self


class RotationSettings(Subject):
    """When signing keys begin and end."""

    jwks_max_age: int = Field(300, ge=0)
    # jose for Node and Envoy keep it for as long, unless they are told otherwise.
    verifier_cache: int = Field(
        600, ge=0, description="how long verifiers may keep a JWKS, whatever max-age says"
    )
    rotation_margin: int = Field(60, ge=0)
    rotation_period: int = Field(30 * 86400, ge=1)

    def rotation_policy(self, longest_life: timedelta) -> RotationPolicy:
        """Return when signing keys begin and end, given the longest life that a token may have."""
        return RotationPolicy(
            jwks_max_age=timedelta(seconds=self.jwks_max_age),
            verifier_cache=timedelta(seconds=self.verifier_cache),
            margin=timedelta(seconds=self.rotation_margin),
            token_life=longest_life,
            period=timedelta(seconds=self.rotation_period),
        )


class FeedSettings(Subject):
    """How the denylist reaches its followers."""

    feed_page_ttl: int = Field(60, ge=5)
    feed_max_wait: int = Field(30, ge=1, le=30)
    feed_polls: int = Field(
        10_000, ge=1, description="how many polls a process holds back; others are answered at once"
    )
    feed_polls_per_network: int = Field(
        2000, ge=1, description="as feed_polls, for one client network"
    )
    feed_authentication: Literal["off", "required"] = Field(
        "off", description="whether followers need a token with tokensvc:denylist"
    )

    @model_validator(mode="after")
    def _check_page_life(self) -> Self:
        if self.feed_page_ttl <= self.feed_max_wait // 2:
            raise ValueError(
                "TOKENSVC_FEED_PAGE_TTL must exceed half of TOKENSVC_FEED_MAX_WAIT, "
                "or followers see only expired pages"
            )
        return self
