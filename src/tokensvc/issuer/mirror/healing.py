"""Healing: a process writes again what it remembers as acknowledged and Postgres has lost.

A revocation and the state of its key or account were written in one transaction, so they were lost
together, and they are written again together. A key that was revoked is revoked again, up to now,
because it may have got tokens meanwhile. A key that was disabled is disabled again, unless the
audit trail that has survived shows that it was enabled after that.

Any number of processes may heal at once: they take turns, and the later ones find nothing lost. A
part of what is lost is healed by one statement, so no lock waits for a round trip
(`sql/functions/heal_revocations.sql`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.denylist.healing import find_lost
from tokensvc.core.errors import NotFoundError
from tokensvc.issuer.metrics import DENYLIST_HEALED
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.logs.logger import get_logger
from tokensvc.store.denylist import heal_revocations, list_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

ACTOR: Final = Actor(name="healing")

# Revocations in one statement: everybody else who revokes waits for its end.
_AT_ONCE: Final = 500
_READ_AT_ONCE: Final = 5000  # values

_log = get_logger(__name__)


async def heal(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    remembered: Sequence[RevocationRecord],
    now: datetime,
) -> None:
    """Append again all of `remembered` that is in force at `now` and not covered by the table.

    Each is written with the state that belongs to it. Raises UnavailableError.
    """
    lost = await _find_lost(database, remembered, now)
    # A signing key gets a successor, which no statement can make. So its own use case revokes it.
    for lost_record in lost:
        if lost_record.revocation.kind == "kid":
            await _revoke_signing_key(database, settings, master_key, lost_record)
    for start in range(0, len(lost), _AT_ONCE):
        async with database.act() as connection:
            healed = await heal_revocations(
                connection, lost[start : start + _AT_ONCE], now, actor=ACTOR
            )
        for healed_record in healed:
            _tell(healed_record)


async def _find_lost(
    database: Database, remembered: Sequence[RevocationRecord], now: datetime
) -> list[RevocationRecord]:
    # Only what the table says of these things is read, not all of a long denylist.
    values = sorted({record.revocation.value for record in remembered})
    present: list[RevocationRecord] = []
    async with database.connection() as connection:
        for start in range(0, len(values), _READ_AT_ONCE):
            present += await list_of(connection, values[start : start + _READ_AT_ONCE])
    # In a thread, because comparing very many takes long enough to hold up requests.
    return await asyncio.to_thread(find_lost, remembered, present, now.timestamp())


async def _revoke_signing_key(
    database: Database, settings: Settings, master_key: MasterKey, lost: RevocationRecord
) -> None:
    """Revoke a signing key as it was revoked before, with a successor.

    If the key itself is lost, its `kid` is still put on the denylist later on.
    """
    try:
        await revoke_signing_key_now(
            database,
            settings,
            master_key,
            lost.revocation.value,
            actor=ACTOR,
            reason="healed after a loss",
            healed=True,
        )
    except NotFoundError:
        return
    _tell(lost)


def _tell(lost: RevocationRecord) -> None:
    DENYLIST_HEALED.inc()
    _log.error(
        "revocation_healed",
        kind=lost.revocation.kind,
        value=lost.revocation.value,
        ending=lost.ending,
        upto=lost.revocation.upto,
    )
