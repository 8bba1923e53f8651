"""The verifier: synchronous, in memory, never awaits. Fetching goes on in the background (`refresh`, `feed`, `fetch`).

Always checked: form, `typ`, algorithm against our list and the key's own, signature, `iss`, `aud`, `iat`, `exp`, required claims, denylist.
A token that was verified before is remembered by all of its bytes; its expiry, its key and the denylist are checked every time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from tokensvc.core.address import check_secure_url
from tokensvc.core.claims import check_validity
from tokensvc.core.errors import BearerError, InvalidTokenError, VerifierUnavailableError
from tokensvc.core.jwks import ALGORITHMS
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_token
from tokensvc.verify.feed import DenylistFollower
from tokensvc.verify.fetch import Fetcher
from tokensvc.verify.keeper import SnapshotKeeper
from tokensvc.verify.memory import Memory
from tokensvc.verify.refresh import Clock, JwksFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from tokensvc.core.claims import Claims
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.verify.fetch import FeedToken, Fetches, JwksAnswer

_MOST_LEEWAY: Final = 60.0
SYSTEM_CLOCK: Final = Clock(time.time, time.monotonic)

_log = logging.getLogger(__name__)


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
    snapshot_error: str | None


class Verifier:
    """Verifies the tokens of one issuer for one audience.

    `leeway`: seconds of clock difference that are forgiven. `max_staleness`: seconds without a word from the feed after which the denylist
    is stale; then `when_stale` decides: "reject" raises VerifierUnavailableError, "accept" goes on with what is known.
    `jwks_stale_if_error`: seconds that keys are used beyond their max-age while the issuer is away. `remember`: verified tokens kept.
    `follower`: the name under which operators see what this verifier has applied; audience and host if not given, "" for none.
    `snapshot_path`: a file that keeps what is known for the next start. `on_verify`: called with "ok", or the reason of the refusal.
    `feed_token`: a function, async or not, that gives the token to show to a feed that wants one; `TokenSource.get_token` does.

    `verify` and `status` may be called from any thread; everything else belongs to the event loop that `start` was called in.
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
        follower: str | None = None,
        snapshot_path: str | os.PathLike[str] | None = None,
        on_verify: Callable[[str], None] | None = None,
        jwks_url: str | None = None,
        denylist_url: str | None = None,
        feed_token: FeedToken | None = None,
        fetcher: Fetches | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not issuer or not audience:
            raise ValueError("issuer and audience are required")
        if isinstance(algorithms, str) or not algorithms or not set(algorithms) <= set(ALGORITHMS):
            raise ValueError(f"algorithms must be a list of some of {', '.join(ALGORITHMS)}")
        if not 0 <= leeway <= _MOST_LEEWAY:
            raise ValueError(
                "leeway must be between 0 and 60 s: revocations are kept for 120 s after their tokens have expired, no longer"
            )
        if max_staleness <= feed_wait + http_timeout:
            raise ValueError(
                "max_staleness must exceed feed_wait + http_timeout, or a quiet feed looks stale"
            )
        if when_stale not in {"reject", "accept"}:
            raise ValueError('when_stale must be "reject" or "accept"')
        self._issuer = issuer
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._leeway = leeway
        self._max_staleness = max_staleness
        self._rejects_when_stale = when_stale == "reject"
        self._jwks_stale_if_error = jwks_stale_if_error
        self._start_wait = http_timeout
        self._on_verify = on_verify
        self._clock = clock
        self._memory = Memory(remember)
        name = _name_follower(audience) if follower is None else follower
        self._fetcher = fetcher or Fetcher(
            timeout=http_timeout, follower=name, feed_token=feed_token
        )
        base = issuer.removesuffix("/")
        jwks_at = check_secure_url(jwks_url or f"{base}/.well-known/jwks.json")
        feed_at = check_secure_url(denylist_url or f"{base}/v1/denylist")
        self._jwks = JwksFollower(self._fetcher, jwks_at, clock, cooldown=jwks_cooldown)
        self._feed = DenylistFollower(
            self._fetcher, feed_at, clock, self._jwks, issuer=issuer, wait=feed_wait, leeway=leeway
        )
        self._keeper: SnapshotKeeper | None = None
        if snapshot_path is not None:
            self._keeper = SnapshotKeeper(
                snapshot_path, clock, self._jwks, self._feed, issuer=issuer, leeway=leeway
            )
        self._tasks: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start following; see `start`."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop following."""
        await self.close()

    async def start(self) -> None:
        """Start following, and wait for keys and denylist, `http_timeout` seconds at most.

        Returns also if the issuer is away: then `verify` raises VerifierUnavailableError until it is back, unless a snapshot is fresh
        enough to verify with.
        """
        if self._tasks is not None:
            raise RuntimeError("the verifier has been started already")
        if self._keeper is not None:
            await self._keeper.restore(jwks_stale_if_error=self._jwks_stale_if_error)
        await self._fetcher.__aenter__()
        self._jwks.begin()
        self._feed.begin()
        self._tasks = asyncio.create_task(self._follow())
        self._tasks.add_done_callback(_report)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._start_wait):
                    await self._jwks.loaded.wait()
                    await self._feed.loaded.wait()
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop following, close the connections, and keep a snapshot if one is wanted."""
        if self._tasks is None:
            return
        self._tasks.cancel()
        await asyncio.wait([self._tasks])
        self._tasks = None
        await self._fetcher.__aexit__(None, None, None)
        if self._keeper is not None:
            await self._keeper.save_once()

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token. Raises InvalidTokenError, or VerifierUnavailableError while nothing can be verified."""
        if self._on_verify is None:
            return self._verify(token)
        try:
            claims = self._verify(token)
        except BearerError as error:
            self._on_verify(error.reason)
            raise
        self._on_verify("ok")
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
            snapshot_error=None if self._keeper is None else self._keeper.last_error,
        )

    def take(self, *, jwks: JwksAnswer | None = None, page: str | None = None) -> None:
        """Take in a JWKS, then a page, that came by another road than ours; they are judged as if they had been fetched.

        Raises ValueError for what is no JWKS, InvalidTokenError or InvalidPageError for a page, and then changes nothing by it.
        """
        if jwks is not None:
            self._jwks.take(jwks, self._clock.monotonic())
        if page is not None:
            self._feed.take(page)

    def _verify(self, token: str) -> Claims:
        fault = self._find_fault()
        if fault is not None:
            raise VerifierUnavailableError(fault)
        now = self._clock.wall()
        claims, key = self._verify_again(token, now) or self._verify_new(token, now)
        denial = self._feed.denylist.find_revocation(claims, key.kid)
        if denial is not None:
            raise InvalidTokenError(f"revoked_{denial.kind}")
        return claims

    def _verify_again(self, token: str, now: float) -> tuple[Claims, VerifyingKey] | None:
        known = self._memory.find(token)
        if known is None:
            return None
        claims, key = known
        if self._jwks.keys.get(key.kid) is not key:  # gone, or the kid names another key now
            self._memory.forget(token)
            return None
        check_validity(
            iat=claims.iat, exp=claims.exp, not_before=claims.iat, now=now, leeway=self._leeway
        )
        return known

    def _verify_new(self, token: str, now: float) -> tuple[Claims, VerifyingKey]:
        unverified_token = parse_unverified(token)
        key = self._jwks.find(unverified_token.kid)
        if key is None:
            raise InvalidTokenError("unknown_kid")
        claims = check_token(
            unverified_token,
            key=key,
            algorithms=self._algorithms,
            issuer=self._issuer,
            audience=self._audience,
            now=now,
            leeway=self._leeway,
        )
        self._memory.keep(token, claims, key)
        return claims, key

    def _find_fault(self) -> str | None:
        if not self._jwks.keys or self._jwks.overdue > self._jwks_stale_if_error:
            return "no_keys"
        if self._feed.position is None:
            return "no_denylist"
        if self._rejects_when_stale and self._feed.age > self._max_staleness:
            return "denylist_stale"
        return None

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            if self._keeper is not None:
                group.create_task(self._keeper.run())
            group.create_task(self._jwks.run())
            await self._jwks.loaded.wait()  # pages cannot be judged without keys
            group.create_task(self._feed.run())


def _name_follower(audience: str) -> str:
    """Return a name that tells operators who this is; what the issuer would not take as a name becomes a hyphen."""
    name = f"{audience[:40]}@{socket.gethostname()[:40]}-{os.getpid()}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "._:@/+-") else "-" for c in name)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.critical(
            "the verifier follows no more, and refuses once it is stale", exc_info=task.exception()
        )
