"""All settings together, and the checks that need more than one subject."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, model_validator

from tokensvc.core.keyring import LEEWAY
from tokensvc.settings.notices import NoticeSettings
from tokensvc.settings.subjects import (
    AddressSettings,
    AuditSettings,
    DatabaseSettings,
    ExchangeSettings,
    FeedSettings,
    MasterKeySettings,
    RotationSettings,
)

if TYPE_CHECKING:
    from tokensvc.core.exchange import IssuingPolicy

PREFIX: Final = "TOKENSVC_"


class Settings(
    NoticeSettings,
    FeedSettings,
    RotationSettings,
    ExchangeSettings,
    MasterKeySettings,
    AuditSettings,
    DatabaseSettings,
    AddressSettings,
):
    """All settings. Durations are in whole seconds."""

    drain_seconds: int = Field(10, ge=0)
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    traces: Literal["off", "otlp"] = Field(
        "off", description="whether requests are traced; OpenTelemetry reads OTEL_... itself"
    )
    sources: dict[str, str] = Field(
        {},
        exclude=True,
        description="where each field comes from that was set: the environment, or a file",
    )

    @model_validator(mode="after")
    def _check_rotation_period(self) -> Self:
        """Refuse a period in which keys are replaced before they sign, or before they are removed.

        The longest life of a token decides how long a retired key must stay published.
        """
        policy = self.rotation_policy(timedelta(seconds=self.max_token_ttl))
        must_exceed = f"TOKENSVC_ROTATION_PERIOD ({self.rotation_period}) must exceed the time for"
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
        return self

    @property
    def are_requests_traced(self) -> bool:
        """Whether this process makes spans of what it does."""
        return self.traces != "off"

    @property
    def issuing_policy(self) -> IssuingPolicy:
        """The policy of every exchange."""
        from tokensvc.core.exchange import IssuingPolicy  # noqa: PLC0415 - slow for commands

        return IssuingPolicy(
            issuer=self.issuer_url,
            default_audience=self.default_audience,
            token_life=timedelta(seconds=self.token_ttl),
            max_token_life=timedelta(seconds=self.max_token_ttl),
        )
