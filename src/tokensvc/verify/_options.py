"""The options of a verifier: the only list of them, and the checks that they fit together."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, Final, Literal, ParamSpec, TypeVar

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.audience import DEFAULT_TYP, TOKEN_TYPES, TokenType
from tokensvc.verify._clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from tokensvc.verify._clock import Clock
    from tokensvc.verify._fetch import FeedToken, Fetches

_P = ParamSpec("_P")
_Self = TypeVar("_Self")
_Value = TypeVar("_Value")

_MOST_LEEWAY: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierOptions:
    """What `Verifier` and `ThreadedVerifier` take; `Verifier` says what each option means.

    Raises ValueError if an option makes no sense or two contradict each other.
    """

    issuer: str
    audience: str | tuple[str, ...]
    algorithms: Sequence[str] = ("ES256",)
    typ: TokenType = DEFAULT_TYP
    leeway: float = 30.0
    max_staleness: float = 60.0
    when_stale: Literal["reject", "accept"] = "reject"
    jwks_cooldown: float = 30.0
    jwks_stale_if_error: float = 3600.0
    http_timeout: float = 5.0
    feed_wait: int = 30
    remember: int = 10_000
    follower: str | None = None
    snapshot_path: str | os.PathLike[str] | None = None
    on_verify: Callable[[str], None] | None = None
    on_audit_problem: Callable[[str], None] | None = None
    allow_http: bool = False
    jwks_url: str | None = None
    denylist_url: str | None = None
    feed_token: FeedToken | None = None
    fetcher: Fetches | None = None
    clock: Clock = SYSTEM_CLOCK

    def __post_init__(self) -> None:
        """Check the options."""
        if not self.issuer or not self.audience:
            raise ValueError("issuer and audience are required")
        _check_audience(self.audience)
        if self.typ not in TOKEN_TYPES:
            raise ValueError(f"typ must be {' or '.join(TOKEN_TYPES)}")
        if (
            isinstance(self.algorithms, str)
            or not self.algorithms
            or not set(self.algorithms) <= set(ALGORITHMS)
        ):
            raise ValueError(f"algorithms must be a list of some of {', '.join(ALGORITHMS)}")
        if not 0 <= self.leeway <= _MOST_LEEWAY:
            raise ValueError(
                "leeway must be between 0 and 60 s, because the issuer keeps a revocation"
                " for no more than 120 s after its tokens have expired"
            )
        if self.max_staleness <= self.feed_wait + self.http_timeout:
            raise ValueError(
                "max_staleness must exceed feed_wait + http_timeout,"
                " because a feed without news would look stale"
            )
        if self.when_stale not in {"reject", "accept"}:
            raise ValueError('when_stale must be "reject" or "accept"')

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences of which a token needs one."""
        return (self.audience,) if isinstance(self.audience, str) else self.audience


def _check_audience(audience: object) -> None:
    names = audience if isinstance(audience, tuple) else (audience,)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("audience must be one name, or a tuple of names")


def keywords_of(
    build: Callable[_P, _Value],
) -> Callable[[Callable[[_Self, _Value], None]], Callable[Concatenate[_Self, _P], None]]:
    """Decorate an `__init__` that takes one value: it then takes the keywords of `build` instead.

    Type checkers, editors and `help()` show these keywords with their types and defaults.
    """

    def decorate(init: Callable[[_Self, _Value], None]) -> Callable[Concatenate[_Self, _P], None]:
        def __init__(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> None:  # noqa: N807
            init(self, build(*args, **kwargs))

        keywords = inspect.signature(build)
        this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        signature = keywords.replace(parameters=[this, *keywords.parameters.values()])
        __init__.__signature__ = signature  # type: ignore[attr-defined]
        return __init__

    return decorate
