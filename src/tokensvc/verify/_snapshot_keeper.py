"""Keeps on disk what the followers know, and gives it back to them at the next start.

Nothing here makes a verification fail. If the file cannot be read or written, a line in the log
and `last_error` say so.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Final

from tokensvc.verify._snapshot import Snapshot, SnapshotError

if TYPE_CHECKING:
    from tokensvc.core.denylist.position import Position
    from tokensvc.verify._clock import Clock
    from tokensvc.verify._feed_follower import FeedFollower
    from tokensvc.verify._jwks_follower import JwksFollower
    from tokensvc.verify._snapshot_file import SnapshotFile

_INTERVAL: Final = 5.0  # seconds between two looks for news

_log = logging.getLogger(__name__)


class SnapshotKeeper:
    """One file for the two followers of an issuer. `leeway`: as in `Verifier`, in seconds."""

    def __init__(
        self,
        file: SnapshotFile,
        clock: Clock,
        jwks: JwksFollower,
        feed: FeedFollower,
        *,
        issuer: str,
        leeway: float,
    ) -> None:
        self._file = file
        self._clock = clock
        self._jwks = jwks
        self._feed = feed
        self._issuer = issuer
        self._leeway = leeway
        self._numbers = itertools.count(1)
        self._kept = self._known()
        self.last_error: str | None = None

    async def restore(self, *, jwks_stale_if_error: float) -> None:
        """Give the followers what the file holds.

        Keys that are too old to be used are left out. A denylist never is: it only refuses tokens.
        """
        if self._feed.position is not None or self._jwks.keys:
            return  # the verifier ran before: what it knows is at least as new
        try:
            await self._restore(jwks_stale_if_error)
        except (SnapshotError, ValueError) as error:
            self.last_error = str(error)
            _log.warning("the snapshot %s was not used: %s", self._file.path, error)
        self._kept = self._known()

    async def run(self) -> None:
        """Save every few seconds, if there is news, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.save_once()

    async def save_once(self) -> None:
        """Save, if the issuer has said anything since the last time."""
        # Before the copy is made: what changes while it is written is saved the next time.
        known = self._known()
        if known == self._kept:
            return
        snapshot = Snapshot(
            issuer=self._issuer, jwks=self._jwks.snapshot(), feed=self._feed.snapshot()
        )
        try:
            await asyncio.to_thread(self._file.save, snapshot, number=next(self._numbers))
        except SnapshotError as error:
            self.last_error = str(error)
            _log.warning("the snapshot %s was not written: %s", self._file.path, error)
            return
        self._kept, self.last_error = known, None

    async def _restore(self, jwks_stale_if_error: float) -> None:
        kept = await asyncio.to_thread(
            self._file.load, issuer=self._issuer, now=self._clock.wall(), leeway=self._leeway
        )
        if kept is None:
            return
        if kept.feed is not None:
            self._feed.restore(kept.feed)
        if kept.jwks is not None:
            age = self._clock.wall() - kept.jwks.confirmed_at
            if age <= kept.jwks.max_age + jwks_stale_if_error:
                self._jwks.restore(kept.jwks)

    def _known(self) -> tuple[float, float, Position | None]:
        """Return what changes whenever the issuer has said anything."""
        return self._jwks.confirmed_on, self._feed.confirmed_on, self._feed.position
