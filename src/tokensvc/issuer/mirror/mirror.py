"""This process's copies of the small tables that are asked for all the time.

They are the signing keys, the denylist and the audiences. The tables are the truth. Their heads
(`feed_head`) are polled twice a second and after every wake-up, and what has changed is read again.
So JWKS, metadata and feed are answered from memory, and a process that has lost its listener is
late by half a second, no more.

If the table has lost part of the denylist, the copies count as not confirmed until that is healed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import TokensvcError, UnavailableError
from tokensvc.core.ledger import Expectation
from tokensvc.issuer.mirror.audit_heads import AuditHeads
from tokensvc.issuer.mirror.denylist_copy import DenylistCopy
from tokensvc.issuer.mirror.iat_bounds import keep_iat_bounds
from tokensvc.issuer.postgres_clock import PostgresClock
from tokensvc.issuer.signing.signers import Signers
from tokensvc.logs.logger import get_logger
from tokensvc.store.audience import list_audiences
from tokensvc.store.feed_head import list_heads_with_iat
from tokensvc.store.issuance import find_latest_iat
from tokensvc.store.listen import listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.audience import Audience
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.feed_head import Topic
    from tokensvc.store.pool import Connection, Database

POLL_SECONDS: Final = 0.5
_RECONNECT_SECONDS: Final = 1.0

_log = get_logger(__name__)


class Mirror:
    """Keeps the copies fresh: polls the heads, listens for wake-ups, reads what has changed.

    It polls every `poll_seconds`. While somebody else holds `refreshing`, the copies stay as they
    are. `postgres_clock` has the clocks of this process.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        master_key: MasterKey,
        *,
        poll_seconds: float = POLL_SECONDS,
        postgres_clock: PostgresClock | None = None,
    ) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._heads: dict[Topic, Position] = {}
        self._wake = asyncio.Event()
        self.refreshing = asyncio.Lock()
        self.postgres_clock = postgres_clock or PostgresClock()
        self.signers = Signers(settings, master_key, self.postgres_clock)
        self.denylist = DenylistCopy(database, settings)
        self.audit_heads = AuditHeads(database, poll_seconds=poll_seconds)
        self.audiences: dict[str, Audience] = {}

    def wake(self) -> None:
        """Let `run` refresh the copies at once."""
        self._wake.set()

    def expect(self) -> Expectation:
        """Return what the database must be, as far as this process knows it."""
        return Expectation(self.postgres_clock.expected_at, self.denylist.seen)

    async def run(self) -> None:
        """Keep the copies fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self.audit_heads.run())
            while True:
                try:
                    await self.refresh_once()
                except TokensvcError as error:
                    age = round(self.postgres_clock.age_seconds, 1)
                    _log.warning("mirror_not_refreshed", reason=error.reason, age_seconds=age)
                except Exception:  # noqa: BLE001 - a fault of ours; the age of the copies shows it
                    _log.exception("mirror_not_refreshed")
                try:
                    async with asyncio.timeout(self._poll_seconds):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def refresh_once(self) -> None:
        """Ask for the heads and read again what has changed.

        Raises UnavailableError, and then the copies are as old as before.
        """
        async with self.refreshing:
            await self._refresh()

    async def refresh_for_a_miss(self) -> None:
        """As `refresh_once`, for a caller that misses something which may be new.

        All callers that miss something at the same time share one refresh.
        """
        missed_on = time.monotonic()
        async with self.refreshing:
            if self.postgres_clock.on < missed_on:
                await self._refresh()

    async def _refresh(self) -> None:
        self._wake.clear()  # before anything is read: what changes meanwhile wakes it again
        # Before the table is read: what is acknowledged later may be missing in what is read.
        acknowledged = self.denylist.acknowledged
        async with self._database.connection() as connection:
            # In doubt, other processes know more of Postgres's clock.
            doubts = self.postgres_clock.is_in_doubt
            latest_iat = await find_latest_iat(connection) if doubts else None
            asked = self.postgres_clock.ask()
            heads, now, bounds = await list_heads_with_iat(connection)
            # First, so that a clock that is wrong from the start calls nothing expired.
            self.postgres_clock.iat_limit.note_passed(bounds.limit, self.postgres_clock.ask().on)
            self.postgres_clock.read_clock(now, asked, latest_iat=latest_iat)
            has_lost = await self._read_changed(connection, heads, acknowledged)
        earliest = self.postgres_clock.earliest
        # Outside the block above, because healing takes connections of its own.
        if has_lost:
            heads["denylist"] = await self.denylist.heal(
                acknowledged, self.signers.master_key, earliest
            )
            self._wake.set()  # healing may have changed the signing keys
        self.denylist.note_read_back(len(acknowledged))
        self.signers.publish(earliest)
        if (collectable_at := self.postgres_clock.collectable_at) is not None:
            self.denylist.log.forget_expired(collectable_at.timestamp())
        has_news = heads["denylist"] != self._heads.get("denylist")
        # Only now: if anything above fails, the next refresh reads all of it again.
        self._heads = heads
        # As of the question: what was committed while the answer was on its way may be missing.
        self.postgres_clock.renew(now, asked.on)
        if has_news:
            self.denylist.announce()
        # At the end: while Postgres cannot write, the copies are fresh anyway.
        await keep_iat_bounds(self._database, self.postgres_clock, bounds)

    async def _read_changed(
        self,
        connection: Connection,
        heads: dict[Topic, Position],
        acknowledged: Sequence[RevocationRecord],
    ) -> bool:
        """Read again what has changed; return whether the table has lost a part of the denylist."""
        if heads["audience"] != self._heads.get("audience"):
            await self._load_audiences(connection)
        if heads["signing_key"] != self._heads.get("signing_key"):
            await self.signers.load(connection)
        if heads["denylist"] == self._heads.get("denylist") and not acknowledged:
            return False
        if await self.denylist.has_lost_some(
            connection, heads["denylist"], acknowledged, self.postgres_clock.latest
        ):
            return True
        heads["denylist"] = await self.denylist.follow(
            connection, heads["denylist"], self.postgres_clock.earliest
        )
        return False

    async def _load_audiences(self, connection: Connection) -> None:
        await self.signers.load_policy(connection)  # an audience may grant a longer life
        audiences = await list_audiences(connection)
        self.audiences = {audience.name: audience for audience in audiences}

    async def _listen(self) -> None:
        """Be woken by NOTIFY. If the listener fails, changes are seen by the next poll."""
        while True:
            try:
                await listen(self._database, self._wake.set)
            except UnavailableError as error:
                _log.debug("listener_lost", reason=error.reason)
            except Exception:  # noqa: BLE001 - as above; polling goes on meanwhile
                _log.exception("listener_lost")
            await asyncio.sleep(_RECONNECT_SECONDS)
