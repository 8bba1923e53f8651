"""Healing: a process writes again what it remembers as acknowledged and Postgres has lost.

A revocation and the state of its key or account were written in one transaction, so they were lost
together, and they are written again together. A key that was revoked is revoked again, up to now,
because it may have got tokens meanwhile. A key that was disabled is disabled again, unless the
audit trail that has survived shows that it was enabled after that; in doubt it is disabled.

Any number of processes may heal at once: they take turns, and the later ones find nothing lost.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.denylist.healing import find_lost
from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.errors import NotFoundError
from tokensvc.core.keyring import LEEWAY
from tokensvc.issuer.audit import record
from tokensvc.issuer.metrics import DENYLIST_HEALED
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.store import account, api_key
from tokensvc.store.audit_event import has_event_since
from tokensvc.store.denylist import append_revocation, list_of, lock_healing
from tokensvc.store.feed_head import wake
from tokensvc.store.issuance import load_longest_life

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

ACTOR: Final = "healing"

# Revocations per transaction: everybody else who revokes waits for its end, a second at most.
_AT_ONCE: Final = 200

_log = structlog.get_logger(__name__)


async def heal(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    remembered: Sequence[RevocationRecord],
    now: datetime,
) -> None:
    """Append again whatever of `remembered` is in force at `now` and not covered by the table.

    Each is written with the state that belongs to it. Raises UnavailableError.
    """
    lost = await _find_lost(database, remembered, now)
    for lost_record in lost:
        if lost_record.revocation.kind == "kid":
            await _revoke_signing_key(database, settings, master_key, lost_record)
    for start in range(0, len(lost), _AT_ONCE):
        await _heal_some(database, lost[start : start + _AT_ONCE], now)


async def _find_lost(
    database: Database, remembered: Sequence[RevocationRecord], now: datetime
) -> list[RevocationRecord]:
    async with database.connection() as connection:
        present = await list_of(connection, {r.revocation.value for r in remembered})
    return find_lost(remembered, present, now.timestamp())


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
            unless_revoked=True,
        )
    except NotFoundError:
        return
    _tell(lost)


async def _heal_some(
    database: Database, remembered: Sequence[RevocationRecord], now: datetime
) -> None:
    async with database.transaction() as connection:
        await lock_healing(connection)
        present = await list_of(connection, [r.revocation.value for r in remembered])
        lost = find_lost(remembered, present, now.timestamp())
        # First everything that locks rows, in the order of locks; the feed's counter comes last.
        ended = [(r, await _end_again(connection, r)) for r in lost]
        life = await load_longest_life(connection)
        for lost_record, watermark in ended:
            await _append_again(connection, lost_record, watermark, life)
        if lost:
            await wake(connection)
    for lost_record in lost:
        _tell(lost_record)


async def _end_again(connection: Connection, lost: RevocationRecord) -> datetime | None:
    """End a key or account as it was ended before; return the watermark, None if it needs none."""
    if lost.watermark is None:
        return None
    is_account, value = lost.revocation.kind == "account", lost.revocation.value
    raise_watermark = account.raise_watermark if is_account else api_key.raise_watermark
    exists = await raise_watermark(connection, value, lost.watermark)
    changes_state = ENDINGS[lost.ending].changes_state
    if not changes_state or not exists or await _was_undone(connection, lost):
        return lost.watermark
    end = account.end if is_account else api_key.end
    return await end(connection, lost.ending, value)  # now, or the old watermark if that is later


async def _was_undone(connection: Connection, lost: RevocationRecord) -> bool:
    """Tell whether the key or account was enabled again later, and that has not been lost."""
    action = ENDINGS[lost.ending].undone_by
    if action is None or lost.watermark is None:
        return False
    return await has_event_since(connection, lost.revocation.value, action, lost.watermark)


async def _append_again(
    connection: Connection, lost: RevocationRecord, watermark: datetime | None, life: timedelta
) -> None:
    revocation = lost.revocation
    expires_at = datetime.fromtimestamp(revocation.exp, UTC)
    if watermark is not None:
        expires_at = max(expires_at, watermark + life + LEEWAY)
    await append_revocation(
        connection,
        lost.ending,
        revocation.value,
        watermark=watermark,
        expires_at=expires_at,
        healed=True,
    )
    action = ENDINGS[lost.ending].action
    detail = {"reason": "healed after a loss", "upto": revocation.upto}
    await record(connection, ACTOR, action, revocation.value, **detail)


def _tell(lost: RevocationRecord) -> None:
    DENYLIST_HEALED.inc()
    _log.error(
        "revocation_healed",
        kind=lost.revocation.kind,
        value=lost.revocation.value,
        ending=lost.ending,
        upto=lost.revocation.upto,
    )
