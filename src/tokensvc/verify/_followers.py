"""What runs in the background of a verifier: the two followers, and the file that keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from tokensvc.core.url import check_secure_url
from tokensvc.verify._feed_follower import FeedFollower
from tokensvc.verify._fetch import Fetcher
from tokensvc.verify._freshness import Freshness
from tokensvc.verify._jwks_follower import JwksFollower
from tokensvc.verify._snapshot_file import SnapshotFile
from tokensvc.verify._snapshot_keeper import SnapshotKeeper

if TYPE_CHECKING:
    from tokensvc.verify._options import VerifierOptions

_log = logging.getLogger(__name__)


class FollowerTasks:
    """Follows the keys and the denylist of one issuer, from `start` to `close`.

    Raises ValueError for a URL that is neither https nor on loopback, unless plain http is allowed.
    """

    def __init__(self, options: VerifierOptions) -> None:
        base = options.issuer.removesuffix("/")
        places = (
            options.jwks_url or f"{base}/.well-known/jwks.json",
            options.denylist_url or f"{base}/v1/denylist",
        )
        jwks_url, feed_url = (
            check_secure_url(url, allow_http=options.allow_http) for url in places
        )
        self._fetcher = options.fetcher or _build_fetcher(options)
        self._start_wait = options.http_timeout
        self._jwks_stale_if_error = options.jwks_stale_if_error
        self.jwks = JwksFollower(
            self._fetcher, jwks_url, options.clock, cooldown=options.jwks_cooldown
        )
        self.feed = FeedFollower(
            self._fetcher,
            feed_url,
            options.clock,
            self.jwks,
            issuer=options.issuer,
            wait=options.feed_wait,
            leeway=options.leeway,
            on_audit_problem=options.on_audit_problem,
        )
        self.freshness = Freshness(options, self.jwks, self.feed)
        self._keeper: SnapshotKeeper | None = None
        if options.snapshot_path is not None:
            self._keeper = SnapshotKeeper(
                SnapshotFile(options.snapshot_path),
                options.clock,
                self.jwks,
                self.feed,
                issuer=options.issuer,
                leeway=options.leeway,
            )
        self._task: asyncio.Task[None] | None = None
        self._has_run = False

    @property
    def misuse(self) -> str | None:
        """What the program has forgotten, so that nothing will ever be fresh; None if nothing."""
        if self._task is not None:
            return None
        if self._has_run:
            return "the verifier is closed, and learns of no key and no revocation any more"
        if not self.jwks.keys and not self.feed.has_all:
            return (
                "the verifier was never started: use it with `async with` (ThreadedVerifier: with"
                " `with`), call its start(), or let an adapter do that (aiohttp: follow(verifier))"
            )
        return None  # it is told by `take` alone

    @property
    def snapshot_error(self) -> str | None:
        """Why the snapshot could not be read or written the last time."""
        return None if self._keeper is None else self._keeper.last_error

    async def start(self) -> None:
        """Start following, and wait a limited time for keys and denylist."""
        if self._task is not None:
            raise RuntimeError("the verifier has been started already")
        if self._keeper is not None:
            # First, so that tokens can be judged although the issuer does not answer.
            await self._keeper.restore(jwks_stale_if_error=self._jwks_stale_if_error)
        await self._fetcher.__aenter__()
        self.jwks.enter_loop()
        self.feed.enter_loop()
        self._task = asyncio.create_task(self._follow())
        self._task.add_done_callback(_report_fault)
        self._has_run = True
        try:
            await self._wait_for_both()
        except asyncio.CancelledError:
            # The caller has got no verifier that it could close.
            await self.close()
            raise

    async def _wait_for_both(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._start_wait):
                await self.jwks.loaded.wait()
                await self.feed.loaded.wait()

    async def close(self) -> None:
        """Stop following, close the connections, and write a last snapshot."""
        if self._task is None:
            return
        self._task.cancel()
        # This raises nothing, however the task has ended.
        await asyncio.wait([self._task])
        self._task = None
        await self._fetcher.__aexit__(None, None, None)
        if self._keeper is not None:
            # At the end, when nothing changes any more.
            await self._keeper.save_once()

    async def _follow(self) -> None:
        # If one of them fails, all of them end, and `_report_fault` says so.
        async with asyncio.TaskGroup() as group:
            if self._keeper is not None:
                group.create_task(self._keeper.run())
            group.create_task(self.jwks.run())
            group.create_task(self._watch())
            await self.jwks.loaded.wait()  # without keys no page can be verified
            group.create_task(self.feed.run())
            group.create_task(self.feed.audit.run())

    async def _watch(self) -> None:
        await self._wait_for_both()  # before that nothing is missing
        await self.freshness.watch()


def _build_fetcher(options: VerifierOptions) -> Fetcher:
    follower = options.follower
    if follower is None:
        follower = _build_follower_name(options.audiences[0])
    return Fetcher(timeout=options.http_timeout, follower=follower, feed_token=options.feed_token)


def _build_follower_name(audience: str) -> str:
    """Return a name that tells operators which process this is.

    A character that the issuer does not accept in such a name becomes a hyphen.
    """
    # The issuer takes names of up to 100 characters.
    name = f"{audience[:40]}@{socket.gethostname()[:40]}-{os.getpid()}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "._:@/+-") else "-" for c in name)


def _report_fault(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.critical(
            "the verifier has stopped following the issuer because of a fault: it learns of no new"
            " revocation or key, and will refuse every token once those that it has are too old",
            exc_info=task.exception(),
        )
