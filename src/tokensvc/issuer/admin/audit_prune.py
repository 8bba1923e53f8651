"""What only the owner of the tables does to the audit trail: delete old events, declare a reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.audit_event import AuditCheckpoint
from tokensvc.core.errors import ConflictError
from tokensvc.core.keyring import find_active
from tokensvc.core.sealing import unseal
from tokensvc.core.token import AUDIT_CHECKPOINT, sign_jws
from tokensvc.issuer.admin.audit_check import begin_chain, load_checkpoint
from tokensvc.issuer.audit import record
from tokensvc.issuer.database import open_owner
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.logs.logger import get_logger
from tokensvc.store import audit_checkpoint as table
from tokensvc.store.audit_event import read_audit_events
from tokensvc.store.feed_head import list_heads
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.actor import Actor
    from tokensvc.core.audit_event import AuditHead
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

_log = get_logger(__name__)


async def prune_events(
    database: Database, settings: Settings, before: datetime, *, actor: Actor
) -> AuditCheckpoint | None:
    """Delete the events before a moment, behind a signed checkpoint.

    Returns the checkpoint, None if there is no such event. The events are checked first: raises
    BrokenChainError if one of them was changed, and then nothing is deleted. Raises ConflictError
    if no signing key is in force or the role does not own the tables, and StartRefusedError.
    """
    master_key = await load_master_key(database, settings)
    async with open_owner(database, settings) as owner, owner.transaction() as connection:
        await table.check_owner(connection)
        last = await table.find_last_before(connection, before)
        begin = await load_checkpoint(owner, connection, settings)
        if last is None or (begin is not None and last <= begin.number):
            return None
        chain = begin_chain(begin)
        async for events in read_audit_events(connection):
            # Events are read many at a time, and some of these may be young enough to stay.
            chain.check(event for event in events if event.number <= last)
            if events[-1].number >= last:
                break
        signed = await _sign_checkpoint(connection, settings, master_key, chain.number, chain.hash)
        await table.delete_events_upto(connection, chain.number, signed.jws)
        detail = {"upto": chain.number, "hash": chain.hash.hex(), "before": before.isoformat()}
        await record(connection, actor, "audit.prune", "audit", **detail)
    return signed


async def declare_reset(
    database: Database, settings: Settings, reason: str, *, actor: Actor
) -> AuditHead:
    """Declare that the trail is older than it was, because a backup was restored.

    Returns the new head. Followers that have seen newer events learn that by its epoch. Raises
    ConflictError if the role does not own the tables.
    """
    async with open_owner(database, settings) as owner, owner.transaction() as connection:
        await table.check_owner(connection)
        head = await table.declare_reset(connection, actor, reason)
    _log.warning("audit_reset_declared", number=head.number, epoch=head.epoch)
    return head


async def _sign_checkpoint(
    connection: Connection, settings: Settings, master_key: MasterKey, number: int, hash_: bytes
) -> AuditCheckpoint:
    """Return a checkpoint that the signing key in force has signed."""
    _, now = await list_heads(connection)
    active = find_active(await list_signing_keys(connection), DEFAULT_ALGORITHM, now)
    if active is None:
        raise ConflictError("there is no signing key in force that could sign the checkpoint")
    payload = {
        "iss": settings.issuer_url,
        "iat": int(now.timestamp()),
        "number": number,
        "hash": hash_.hex(),
    }
    jws = sign_jws(payload, typ=AUDIT_CHECKPOINT[0], key=unseal(active, master_key))
    return AuditCheckpoint(number, hash_, now, jws)
