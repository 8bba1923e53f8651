"""Healing: a process writes again what it remembers as acknowledged and Postgres has lost.

An entry of the denylist and the state of its key or account were written in one transaction, so they were lost together, and are written
again together. A key that was revoked is revoked again, up to now: it may have got tokens meanwhile. One that was disabled is disabled
again, unless the audit trail that has survived shows that it was enabled after that; in doubt it is disabled.

Any number of processes may heal at once: they take turns, and whoever comes later finds nothing lost.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.errors import NotFoundError
from tokensvc.core.healing import find_lost
from tokensvc.core.identifier import KeyId
from tokensvc.core.keyring import LEEWAY
from tokensvc.issuer.audit import record
from tokensvc.issuer.metrics import DENYLIST_HEALED
from tokensvc.issuer.rotation import revoke_signing_key_now
from tokensvc.store import account, api_key
from tokensvc.store.audit_event import has_event_since
from tokensvc.store.denylist import append_revocation, list_of, lock_healing
from tokensvc.store.feed_head import list_heads, wake
from tokensvc.store.issuance import load_longest_life

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from tokensvc.core.denylist import Ending, Revocation
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

ACTOR: Final = "healing"

_AT_ONCE: Final = (
    200  # entries per transaction: others that revoke wait for its end, a second at most
)

_ACTIONS: Final[dict[Ending, str]] = {
    "token revoked": "token.revoke",
    "tokens ended": "key.end_tokens",
    "key disabled": "key.disable",
    "key revoked": "key.revoke",
    "key deleted": "key.delete",
    "account suspended": "account.suspend",
    "account deleted": "account.delete",
    "signing key revoked": "signing_key.revoke",
}
_END: Final = {
    "key disabled": api_key.disable_api_key,
    "key revoked": api_key.revoke_api_key,
    "key deleted": api_key.delete_api_key,
    "account suspended": account.suspend_account,
    "account deleted": account.delete_account,
}
_TAKEN_BACK_BY: Final = {"key disabled": "key.enable", "account suspended": "account.resume"}

_log = structlog.get_logger(__name__)


async def heal(
    database: Database, settings: Settings, master_key: MasterKey, remembered: Sequence[Revocation]
) -> None:
    """Append again whatever of `remembered` is alive and not covered by the table, each with the state that belongs to it."""
    lost = await _find_lost(database, remembered)
    for entry in lost:
        if entry.kind == "kid":
            await _revoke_signing_key(database, settings, master_key, entry)
    for start in range(0, len(lost), _AT_ONCE):
        await _heal_some(database, lost[start : start + _AT_ONCE])


async def _find_lost(database: Database, remembered: Sequence[Revocation]) -> list[Revocation]:
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        rows = await list_of(connection, {entry.value for entry in remembered})
    return find_lost(remembered, [row.revocation for row in rows], now.timestamp())


async def _revoke_signing_key(
    database: Database, settings: Settings, master_key: MasterKey, entry: Revocation
) -> None:
    """Revoke a signing key as it was revoked before, with a successor; if the key itself is lost, its `kid` is still denied later on."""
    try:
        await revoke_signing_key_now(
            database,
            settings,
            master_key,
            entry.value,
            actor=ACTOR,
            reason="healed after a loss",
            unless_denied=True,
        )
    except NotFoundError:
        return
    _tell(entry)


async def _heal_some(database: Database, remembered: Sequence[Revocation]) -> None:
    async with database.transaction() as connection:
        await lock_healing(connection)
        _, now = await list_heads(connection)
        rows = await list_of(connection, [entry.value for entry in remembered])
        lost = find_lost(remembered, [row.revocation for row in rows], now.timestamp())
        ended = [
            (entry, await _end_again(connection, entry)) for entry in lost
        ]  # first all that locks rows, in the order of locks
        life = await load_longest_life(connection)
        for entry, upto in ended:
            await _append_again(connection, entry, upto, life)
        if lost:
            await wake(connection)
    for entry in lost:
        _tell(entry)


async def _end_again(connection: Connection, entry: Revocation) -> datetime | None:
    """End what an entry is about, as it was ended before; return the moment up to which tokens are dead."""
    upto = entry.ended_at
    if upto is None:
        return None
    if entry.kind == "account":
        exists = await account.raise_watermark(connection, entry.value, upto)
    else:
        exists = await api_key.raise_watermark(connection, entry.value, upto)
    end = _END.get(entry.ending or "")
    if end is None or not exists or await _was_taken_back(connection, entry, upto):
        return upto
    return await end(connection, KeyId(entry.value))  # now, or `upto` if this clock is behind


async def _was_taken_back(connection: Connection, entry: Revocation, upto: datetime) -> bool:
    """Tell whether the key or account was enabled after it had been disabled, so that this has not been lost."""
    action = _TAKEN_BACK_BY.get(entry.ending or "")
    return action is not None and await has_event_since(connection, entry.value, action, upto)


async def _append_again(
    connection: Connection, entry: Revocation, upto: datetime | None, life: timedelta
) -> None:
    expires_at = datetime.fromtimestamp(entry.exp, UTC)
    if upto is not None:
        expires_at = max(expires_at, upto + life + LEEWAY)
    ending = entry.ending or "token revoked"
    await append_revocation(
        connection,
        entry.kind,
        entry.value,
        upto=upto,
        expires_at=expires_at,
        reason=ending,
        healed=True,
    )
    await record(
        connection,
        ACTOR,
        _ACTIONS[ending],
        entry.value,
        reason="healed after a loss",
        upto=entry.upto,
    )


def _tell(entry: Revocation) -> None:
    DENYLIST_HEALED.inc()
    _log.error(
        "revocation_healed",
        kind=entry.kind,
        value=entry.value,
        ending=entry.ending,
        upto=entry.upto,
    )
