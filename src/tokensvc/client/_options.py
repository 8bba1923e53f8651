"""The options of a token source: as a type for those who pass them on, and as checked values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Required, TypedDict

from tokensvc.client._wanted import parse_wanted
from tokensvc.core.url import check_secure_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tokensvc.client._key_reader import KeyFunction


class TokenSourceOptions(TypedDict, total=False):
    """What `TokenSource` takes; its docstring says what each option means."""

    issuer: Required[str]
    api_key: str | Path | KeyFunction | None
    rotate_every: str | None
    audience: str | None
    scope: str | None
    expires_in: int | None
    timeout: float
    patience: float
    tls: ssl.SSLContext | None
    allow_http: bool
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """How a source exchanges its API key. Durations are in seconds."""

    issuer: str
    audience: str | None
    scope: str | None
    expires_in: int | None
    timeout: float
    patience: float
    tls: ssl.SSLContext | None
    allow_http: bool
    clock: Callable[[], float]
    chance: Callable[[], float]

    def __post_init__(self) -> None:
        """Check each option, and the options against each other. Raises ValueError."""
        check_secure_url(self.issuer, allow_http=self.allow_http)
        parse_wanted(self.audience, self.scope)
        if not 0 < self.timeout <= self.patience:
            raise ValueError("timeout must be more than 0 and at most patience")
        if self.expires_in is not None and self.expires_in < 1:
            raise ValueError("expires_in must be at least 1 s")

    @property
    def longest_wait(self) -> float:
        """Seconds after which no caller waits any longer, whatever has stopped working."""
        return self.patience + self.timeout

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"{self.issuer.removesuffix('/')}/v1/token"
