"""What the audit trail looks like now, for the followers that are its witnesses.

The table is read anew twice a second, and what was read before is forgotten then: nobody who
changes the table can have this process repeat what stood there earlier. Only the numbers of the
heads that were given out are remembered, so that followers hear again of what they have heard of.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tokensvc.core.audit_claim import AuditClaim
from tokensvc.core.errors import TokensvcError
from tokensvc.issuer.postgres_clock import FRESH_SECONDS
from tokensvc.logs.logger import get_logger
from tokensvc.store.audit_event import load_audit_claim

if TYPE_CHECKING:
    from tokensvc.store.pool import Database

_MOST_GIVEN: Final = 8

_log = get_logger(__name__)


class AuditHeads:
    """Reads the trail every `poll_seconds`, and at once if somebody asks for one event.

    It is read apart from the mirror's other copies, so that no revocation waits for it.
    """

    def __init__(self, database: Database, *, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._claim: AuditClaim | None = None
        self._read_on = float("-inf")
        self._given: deque[int] = deque(maxlen=_MOST_GIVEN)
        self._asked: dict[int, asyncio.Future[AuditClaim | Exception]] = {}
        self._reading: asyncio.Task[None] | None = None

    @property
    def claim(self) -> AuditClaim | None:
        """What the table held at the last look; None if that is long ago."""
        is_fresh = time.monotonic() - self._read_on <= FRESH_SECONDS
        return self._claim if is_fresh else None

    def give(self) -> AuditClaim | None:
        """Return the claim for a page, and see to it that later ones repeat the number."""
        claim = self.claim
        if claim is not None and claim.head.number and claim.head.number not in self._given:
            self._given.append(claim.head.number)
        return claim

    async def run(self) -> None:
        """Read the trail again and again until cancelled."""
        while True:
            try:
                await self.read_once()
            except TokensvcError as error:
                _log.debug("audit_heads_not_read", reason=error.reason)
            except Exception:  # noqa: BLE001 - a fault of ours; followers see that nothing is said
                _log.exception("audit_heads_not_read")
            await asyncio.sleep(self._poll_seconds)

    async def read_once(self) -> None:
        """Read the trail. Raises UnavailableError."""
        asked_on = time.monotonic()
        async with self._database.connection() as connection:
            claim = await load_audit_claim(connection, tuple(self._given))
        # As of the question: what was committed while it was read may be missing. Of two reads at
        # once, the one that was asked later counts.
        if asked_on >= self._read_on:
            self._claim, self._read_on = claim, asked_on

    async def find(self, number: int) -> AuditClaim:
        """Return what the table holds from now on, with the hash of this event alone.

        All who ask while a read is under way share the next one. Raises UnavailableError.
        """
        answer = self._asked.get(number)
        if answer is None:
            answer = self._asked[number] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_asked())
        # A caller that gives up must not take the answer away from the others.
        found = await asyncio.shield(answer)
        if isinstance(found, Exception):
            raise found
        return found

    async def _read_asked(self) -> None:
        while self._asked:
            # Callers from here on want what the table holds later: the next read answers them.
            asked, self._asked = self._asked, {}
            try:
                async with self._database.connection() as connection:
                    claim = await load_audit_claim(connection, list(asked))
            except Exception as error:  # noqa: BLE001 - those who have asked raise it
                for answer in asked.values():
                    answer.set_result(error)
                continue
            for number, answer in asked.items():
                said = {number: claim.earlier[number]} if number in claim.earlier else {}
                answer.set_result(AuditClaim(head=claim.head, earlier=said))
        # No await since `_asked` was found empty, so nobody is left behind.
        self._reading = None
