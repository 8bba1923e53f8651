"""The settings of notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.notices.destination import parse_destination, parse_networks
from tokensvc.settings.subjects import Subject

if TYPE_CHECKING:
    from tokensvc.core.notices.destination import Network


class NoticeSettings(Subject):
    """How notices leave the service."""

    smtp_url: SecretStr | None = Field(
        None, description="the mail server: smtps://user:password@host or smtp://host"
    )
    smtp_from: str = Field("", description="whom mail comes from; needed with smtp_url")
    notice_allowed_networks: str = Field(
        "", description="networks that receivers may be in although they are not public"
    )

    @field_validator("notice_allowed_networks")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        try:
            parse_networks(value)
        except InvalidInputError as error:
            raise ValueError(error.message) from error
        return value

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.smtp_url is None:
            return self
        try:
            parts = urlsplit(self.smtp_url.get_secret_value())
            is_url = parts.scheme in {"smtp", "smtps"} and parts.hostname and parts.port != 0
        # The property `port` raises it as well, if it is no number.
        except ValueError:
            is_url = None
        if not is_url:
            raise ValueError(
                "TOKENSVC_SMTP_URL must be smtps://user:password@host:465 or smtp://host:587"
            )
        try:
            parse_destination(f"mailto:{self.smtp_from}", http_allowed=False)
        except InvalidInputError as error:
            raise ValueError(
                "TOKENSVC_SMTP_FROM must be the address that mail comes from, "
                "like tokens@example.com"
            ) from error
        return self

    @property
    def notice_networks(self) -> tuple[Network, ...]:
        """The networks that receivers may be in although they are not public."""
        return parse_networks(self.notice_allowed_networks)
