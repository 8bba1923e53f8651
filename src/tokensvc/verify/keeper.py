"""Keeps on disk what the followers know, and gives it to them at the next start.

Nothing here can fail a verification: a snapshot that cannot be read or written is a warning, and `last_error` tells.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.verify.snapshot import Snapshot, SnapshotError, load_snapshot, save_snapshot

if TYPE_CHECKING:
    import os

    from tokensvc.core.denylist.position import Position
    from tokensvc.verify.feed import DenylistFollower
    from tokensvc.verify.refresh import Clock, JwksFollower

_INTERVAL: Final = 5.0

_log = logging.getLogger(__name__)


class SnapshotKeeper:
    """One file for the two followers of one issuer."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Clock,
        jwks: JwksFollower,
        feed: DenylistFollower,
        *,
        issuer: str,
        leeway: float,
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._jwks = jwks
        self._feed = feed
        self._issuer = issuer
        self._leeway = leeway
        self._kept = self._known()
        self._numbers = itertools.count(1)
        self._written = 0
        self._writing = threading.Lock()
        self.last_error: str | None = None

    async def restore(self, *, jwks_stale_if_error: float) -> None:
        """Give the followers what the file holds. Keys that are too old to be used are left out; a denylist never is: it only refuses."""
        if self._feed.position is not None or self._jwks.keys:
            return  # this is no first start: what is known is as new or newer
        try:
            kept = await asyncio.to_thread(
                load_snapshot,
                self._path,
                issuer=self._issuer,
                now=self._clock.wall(),
                leeway=self._leeway,
            )
            if kept is None:
                return
            if kept.feed is not None:
                self._feed.restore(kept.feed)
            if (
                kept.jwks is not None
                and self._clock.wall() - kept.jwks.confirmed_at
                <= kept.jwks.max_age + jwks_stale_if_error
            ):
                self._jwks.restore(kept.jwks)
        except (SnapshotError, ValueError) as error:
            self.last_error = str(error)
            _log.warning("snapshot %s not used: %s", self._path, error)
        self._kept = self._known()

    async def run(self) -> None:
        """Save every few seconds if there is news, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.save_once()

    async def save_once(self) -> None:
        """Save if the issuer has said anything since the last time."""
        known = self._known()
        if known == self._kept:
            return
        snapshot = Snapshot(
            issuer=self._issuer, jwks=self._jwks.snapshot(), feed=self._feed.snapshot()
        )
        try:
            await asyncio.to_thread(self._save, next(self._numbers), snapshot)
        except SnapshotError as error:
            self.last_error = str(error)
            _log.warning("snapshot %s not written: %s", self._path, error)
            return
        self._kept, self.last_error = known, None

    def _save(self, number: int, snapshot: Snapshot) -> None:
        with self._writing:  # a thread whose waiting task was cancelled goes on, and must not overwrite what came after it
            if number > self._written:
                save_snapshot(self._path, snapshot)
                self._written = number

    def _known(self) -> tuple[float, float, Position | None]:
        return self._jwks.confirmed_on, self._feed.confirmed_on, self._feed.position
