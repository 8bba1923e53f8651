"""The verifier: synchronous, in memory, never awaits. Fetching goes on in the background (`refresh`, `fetch`).

Always checked: form, `typ`, algorithm against our list and the key's own, signature, `iss`, `aud`, `iat`, `exp`, required claims, denylist.
A token that was verified before is remembered by all of its bytes; its expiry, its key and the denylist are checked every time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from tokensvc.core.address import check_url
from tokensvc.core.claims import check_validity
from tokensvc.core.errors import InvalidTokenError, VerifierUnavailableError
from tokensvc.core.jwks import ALGORITHMS
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_token
from tokensvc.verify.fetch import Fetcher
from tokensvc.verify.refresh import Clock, DenylistFollower, JwksFollower

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tokensvc.core.claims import Claims
    from tokensvc.core.identifier import Kid

_MOST_LEEWAY: Final = 60.0
_SYSTEM_CLOCK: Final = Clock(time.time, time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a verifier knows and how fresh that is; ages in seconds, infinite before the first answer."""

    ready: bool
    kids: tuple[str, ...]
    jwks_age: float
    jwks_error: str | None
    denylist_cursor: str | None
    denylist_entries: int
    denylist_age: float
    denylist_error: str | None
    denylist_resets: int


class Verifier:
    """Verifies the tokens of one issuer for one audience.

    `leeway`: seconds of clock difference that are forgiven. `max_staleness`: seconds without a word from the feed after which the denylist
    is stale; then `when_stale` decides: "reject" raises VerifierUnavailableError, "accept" goes on with what is known.
    `jwks_stale_if_error`: seconds that keys are used beyond their max-age while the issuer is away. `remember`: verified tokens kept.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str] = ("ES256",),
        leeway: float = 30.0,
        max_staleness: float = 60.0,
        when_stale: Literal["reject", "accept"] = "reject",
        jwks_cooldown: float = 30.0,
        jwks_stale_if_error: float = 3600.0,
        http_timeout: float = 5.0,
        feed_wait: int = 30,
        remember: int = 10_000,
        jwks_url: str | None = None,
        denylist_url: str | None = None,
        fetcher: Fetcher | None = None,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        if not issuer or not audience:
            msg = "issuer and audience are required"
            raise ValueError(msg)
        if not algorithms or not set(algorithms) <= set(ALGORITHMS):
            msg = f"algorithms must be some of {', '.join(ALGORITHMS)}"
            raise ValueError(msg)
        if not 0 <= leeway <= _MOST_LEEWAY:
            msg = "leeway must be between 0 and 60 s: revocations are kept for 120 s after their tokens have expired, no longer"
            raise ValueError(msg)
        if max_staleness <= feed_wait + http_timeout:
            msg = "max_staleness must exceed feed_wait + http_timeout, or a quiet feed looks stale"
            raise ValueError(msg)
        self._issuer = issuer
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._leeway = leeway
        self._max_staleness = max_staleness
        self._rejects_when_stale = when_stale == "reject"
        self._jwks_stale_if_error = jwks_stale_if_error
        self._start_wait = http_timeout
        self._remember = remember
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[Claims, Kid]] = OrderedDict()
        self._fetcher = fetcher or Fetcher(timeout=http_timeout)
        base = issuer.removesuffix("/")
        jwks_at = check_url(jwks_url or f"{base}/.well-known/jwks.json")
        feed_at = check_url(denylist_url or f"{base}/v1/denylist")
        self._jwks = JwksFollower(self._fetcher, jwks_at, clock, cooldown=jwks_cooldown)
        self._feed = DenylistFollower(self._fetcher, feed_at, clock, self._jwks, issuer=issuer, wait=feed_wait, leeway=leeway)
        self._tasks: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start following; see `start`."""
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop following."""
        await self.close()

    async def start(self) -> None:
        """Start following, and wait for keys and denylist, `http_timeout` seconds at most.

        Returns also if the issuer is away: then `verify` raises VerifierUnavailableError until it is back.
        """
        await self._fetcher.__aenter__()
        self._tasks = asyncio.create_task(self._follow())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._start_wait):
                await self._jwks.loaded.wait()
                await self._feed.loaded.wait()

    async def close(self) -> None:
        """Stop following and close the connections."""
        if self._tasks is not None:
            self._tasks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tasks
            self._tasks = None
        await self._fetcher.__aexit__(None, None, None)

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token. Raises InvalidTokenError, or VerifierUnavailableError while nothing can be verified."""
        self._check_available()
        now = self._clock.wall()
        remembered = self._remembered.get(token)
        if remembered is None:
            claims, kid = self._verify_new(token, now)
        else:
            claims, kid = remembered
            self._remembered.move_to_end(token)
            check_validity(iat=claims.iat, exp=claims.exp, not_before=claims.iat, now=now, leeway=self._leeway)
            if kid not in self._jwks.keys:
                raise InvalidTokenError("unknown_kid")
        denial = self._feed.denylist.find_denial(claims, kid)
        if denial is not None:
            raise InvalidTokenError(f"revoked_{denial.kind}")
        return claims

    def status(self) -> Status:
        """Return what is known and how fresh it is, for readiness and metrics."""
        return Status(
            ready=self._find_fault() is None,
            kids=tuple(self._jwks.keys),
            jwks_age=self._jwks.age,
            jwks_error=self._jwks.last_error,
            denylist_cursor=self._feed.cursor,
            denylist_entries=len(self._feed.denylist),
            denylist_age=self._feed.age,
            denylist_error=self._feed.last_error,
            denylist_resets=self._feed.resets,
        )

    def _verify_new(self, token: str, now: float) -> tuple[Claims, Kid]:
        unverified_token = parse_unverified(token)
        claims = check_token(
            unverified_token,
            key=self._jwks.find(unverified_token.kid),
            algorithms=self._algorithms,
            issuer=self._issuer,
            audience=self._audience,
            now=now,
            leeway=self._leeway,
        )
        self._remembered[token] = (claims, unverified_token.kid)
        if len(self._remembered) > self._remember:
            self._remembered.popitem(last=False)
        return claims, unverified_token.kid

    def _check_available(self) -> None:
        fault = self._find_fault()
        if fault is not None:
            raise VerifierUnavailableError(fault)

    def _find_fault(self) -> str | None:
        if not self._jwks.keys or self._jwks.overdue > self._jwks_stale_if_error:
            return "no_keys"
        if not self._feed.loaded.is_set():
            return "no_denylist"
        if self._rejects_when_stale and self._feed.age > self._max_staleness:
            return "denylist_stale"
        return None

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._jwks.run())
            await self._jwks.loaded.wait()  # pages cannot be judged without keys
            group.create_task(self._feed.run())
