"""Settings: `TOKENSVC_*` environment variables, checked against each other at the start.

A secret may also lie in a file that `*_FILE` names. `docs/operations.md` has a table of all
settings, which a test compares with this class.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tokensvc.core.api_key import DEFAULT_PREFIX, check_prefix
from tokensvc.core.audience import parse_audience
from tokensvc.core.errors import InvalidInputError, StartRefusedError
from tokensvc.core.exchange import IssuingPolicy
from tokensvc.core.keyring import LEEWAY, RotationPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX: Final = "TOKENSVC_"
# The settings that `*_FILE` may give. The master key is another matter: its file is read when the
# key is needed.
_SECRETS: Final = {"database_url", "direct_database_url"}
_CREDENTIAL: Final = "tokensvc-master-key"
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


class Settings(BaseSettings):
    """All settings. Durations are in whole seconds."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="serves /metrics there, and no longer on the public port"
    )
    issuer: str = ""
    database_url: SecretStr | None = None
    direct_database_url: SecretStr | None = Field(
        None, description="leads past a pooler in transaction mode: for LISTEN and the ledger"
    )
    data_dir: Path = Path(".tokensvc")
    keys_dir: Path = Path("keys")
    master_key: SecretStr | None = Field(None, description="32 bytes in base64")
    master_key_file: Path | None = None
    is_credential: bool = Field(
        default=False, description="the master key file lies in systemd's credential folder"
    )
    postgres_bin_dir: Path | None = None
    database_wait: int | None = Field(
        None,
        ge=0,
        description="how long a start waits for Postgres; `serve` without limit if unset",
    )
    pool_size: int = Field(10, ge=2, le=200)

    default_audience: str = "api"
    token_ttl: int = Field(600, ge=1)
    # Followers let no revocation live longer than 31 days, so no token may.
    max_token_ttl: int = Field(3600, ge=1, le=30 * 86_400)
    key_prefix: str = DEFAULT_PREFIX

    ledger_queue: int = Field(
        2000,
        ge=1,
        description="how many exchanges may wait for Postgres; others are refused at once",
    )
    unknown_keys_per_minute: int = Field(
        100,
        ge=1,
        description="per client network and process; after that, unknown keys are slowed down",
    )
    refusals_per_minute: int = Field(
        1000,
        ge=1,
        description="per client network and process; after that, refusals come a second late",
    )
    trusted_proxy_hops: int = Field(
        0, ge=0, le=10, description="how many proxies of the operator append to X-Forwarded-For"
    )
    usage_days: int = Field(90, ge=1, description="for how many days usage is kept")

    jwks_max_age: int = Field(300, ge=0)
    verifier_cache: int = Field(
        330, ge=0, description="how long verifiers may keep a JWKS, whatever max-age says"
    )
    rotation_margin: int = Field(60, ge=0)
    rotation_period: int = Field(30 * 86400, ge=1)

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
    drain_seconds: int = Field(10, ge=0)
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load_settings` hands in, so that one place reads the environment."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

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

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and parts.hostname
        if value and (not is_url or parts.query or parts.fragment):
            raise ValueError(
                "must be an http(s) URL without query and fragment (RFC 8414 section 2)"
            )
        return value.removesuffix("/")

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError(
                f"TOKENSVC_METRICS_PORT ({self.port}) must differ from TOKENSVC_PORT; leave it "
                "out to have the metrics on the same port"
            )
        return self

    @model_validator(mode="after")
    def _check_durations(self) -> Self:
        if self.token_ttl > self.max_token_ttl:
            raise ValueError(
                f"TOKENSVC_TOKEN_TTL ({self.token_ttl}) must not exceed "
                f"TOKENSVC_MAX_TOKEN_TTL ({self.max_token_ttl})"
            )
        _check_rotation_period(self)
        if self.feed_page_ttl <= self.feed_max_wait // 2:
            raise ValueError(
                "TOKENSVC_FEED_PAGE_TTL must exceed half of TOKENSVC_FEED_MAX_WAIT, "
                "or followers see only expired pages"
            )
        return self

    @property
    def issuer_url(self) -> str:
        """The issuer in the setting, else the address that the service listens on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.issuer or f"http://{host}:{self.port}"

    @property
    def direct_url(self) -> str | None:
        """The URL that leads past a pooler, None if there is no pooler."""
        url = self.direct_database_url
        return None if url is None else url.get_secret_value()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service directly."""
        return self.host in _LOOPBACK

    @property
    def master_key_path(self) -> Path:
        """The file of the master key."""
        return self.master_key_file or self.keys_dir / "master.key"

    @property
    def issuing_policy(self) -> IssuingPolicy:
        """The policy of every exchange."""
        return IssuingPolicy(
            issuer=self.issuer_url,
            default_audience=self.default_audience,
            token_life=timedelta(seconds=self.token_ttl),
            max_token_life=timedelta(seconds=self.max_token_ttl),
        )

    def rotation_policy(self, longest_life: timedelta) -> RotationPolicy:
        """Return when signing keys begin and end, given the longest life that a token may have."""
        return RotationPolicy(
            jwks_max_age=timedelta(seconds=self.jwks_max_age),
            verifier_cache=timedelta(seconds=self.verifier_cache),
            margin=timedelta(seconds=self.rotation_margin),
            token_life=longest_life,
            period=timedelta(seconds=self.rotation_period),
        )


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in `environment`, by default that of the process.

    Raises StartRefusedError, which names the setting and never the value of a secret.
    """
    values = _read_values(os.environ if environment is None else environment)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise StartRefusedError(
            "; ".join(_explain(dict(e)) for e in error.errors(include_input=False))
        ) from error


def _check_rotation_period(settings: Settings) -> None:
    """Raise ValueError if keys would be replaced before they sign, or before they are removed."""
    policy = settings.rotation_policy(timedelta(seconds=settings.max_token_ttl))
    must_exceed = f"TOKENSVC_ROTATION_PERIOD ({settings.rotation_period}) must exceed the time for"
    if policy.period <= policy.lead:
        raise ValueError(
            f"{must_exceed} which a new key is published before it signs: "
            "TOKENSVC_JWKS_MAX_AGE + TOKENSVC_VERIFIER_CACHE + TOKENSVC_ROTATION_MARGIN "
            f"= {int(policy.lead.total_seconds())}"
        )
    if policy.period <= policy.retirement:
        raise ValueError(
            f"{must_exceed} which a key is published after it has signed for the last time: "
            f"TOKENSVC_MAX_TOKEN_TTL + {int(LEEWAY.total_seconds())} "
            f"= {int(policy.retirement.total_seconds())}"
        )


def _read_values(environment: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for name in Settings.model_fields:
        variable = (_PREFIX + name).upper()
        path = environment.get(variable + "_FILE")
        if name in _SECRETS and path:
            if variable in environment:
                raise StartRefusedError(
                    f"{variable} and {variable}_FILE contradict each other: set only one of them"
                )
            values[name] = _read_file(variable + "_FILE", path)
        elif environment.get(variable):
            values[name] = environment[variable]
    return _add_credential(values, environment)


def _add_credential(values: dict[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Name the master key in systemd's credential folder if no setting names another one.

    The unit has it there by `LoadCredential=tokensvc-master-key:...`.
    """
    if "master_key" in values and "master_key_file" in values:
        raise StartRefusedError(
            "TOKENSVC_MASTER_KEY and TOKENSVC_MASTER_KEY_FILE contradict each other: "
            "set only one of them"
        )
    values.pop("is_credential", None)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and not {"master_key", "master_key_file"} & values.keys():
        path = Path(folder) / _CREDENTIAL
        if path.is_file():
            return {**values, "master_key_file": str(path), "is_credential": "true"}
    return values


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefusedError(f"{variable}: cannot read {path}") from error


def _explain(error: dict[str, object]) -> str:
    """Return one of pydantic's errors in the words of an operator."""
    location = error["loc"]
    name = f"{_PREFIX}{location[0]}".upper() if isinstance(location, tuple) and location else ""
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {text}" if name else text
