"""The check of the whole audit trail, from its newest checkpoint to its head.

Postgres is not trusted here: every hash is computed again, and a checkpoint counts only if it was
signed by a key that the master key opens.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.audit_chain import Break, BrokenChainError, Chain
from tokensvc.core.audit_claim import SAID_BYTES
from tokensvc.core.audit_event import AuditCheckpoint, AuditHead
from tokensvc.core.audit_export import build_first_line, build_line
from tokensvc.core.errors import ConflictError, InvalidTokenError, NotFoundError, StartRefusedError
from tokensvc.core.sealing import unseal
from tokensvc.core.token import AUDIT_CHECKPOINT, check_signature, parse_unverified
from tokensvc.core.verification import find_public_key
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.store import audit_checkpoint as table
from tokensvc.store.audit_event import (
    BEFORE_ALL,
    list_witness_hashes,
    load_audit_claim,
    load_audit_head,
    read_audit_events,
)
from tokensvc.store.signing_key import load_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.audit_witness import Witness
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database


# Head, checkpoint and events must be of one moment, or an act meanwhile would look like a break.
_SNAPSHOT: Final = "set transaction isolation level repeatable read, read only"


class WholeTrail(NamedTuple):
    """A trail that holds: where it begins and ends. `begin` is None if nothing was ever deleted."""

    begin: AuditCheckpoint | None
    head: AuditHead


async def verify_trail(database: Database, settings: Settings) -> WholeTrail:
    """Check every event that there is. Memory does not grow with their number.

    Raises BrokenChainError, which names the first event that does not fit.
    """
    async with database.transaction() as connection:
        await connection.execute(_SNAPSHOT)
        head = await load_audit_head(connection)
        begin = await load_checkpoint(database, connection, settings)
        chain = begin_chain(begin)
        async for events in read_audit_events(connection):
            chain.check(events)
    _check_end(chain, head)
    return WholeTrail(begin, head)


class NewestEvents(NamedTuple):
    """What the check of the newest events has found. `broken` is None if they all hold.

    `checkpoint`: the number of the newest event that was deleted, None if none ever was.
    """

    checked: int
    broken: Break | None
    checkpoint: int | None
    head: AuditHead


async def check_newest(database: Database, settings: Settings, most: int) -> NewestEvents:
    """Check at most `most` of the newest events, and that they end where the head says."""
    async with database.transaction() as connection:
        await connection.execute(_SNAPSHOT)
        head = await load_audit_head(connection)
        row = await table.find_checkpoint(connection)
        checkpoint = None if row is None else row.number
        checked = 0
        try:
            chain = await _begin_newest(database, connection, settings, head.number - most)
            begin = chain.number
            async for events in read_audit_events(connection, begin):
                chain.check(events)
            checked = chain.number - begin
            _check_end(chain, head)
        except BrokenChainError as error:
            return NewestEvents(checked, error.found, checkpoint, head)
    return NewestEvents(checked, None, checkpoint, head)


async def _begin_newest(
    database: Database, connection: Connection, settings: Settings, number: int
) -> Chain:
    """Return the chain from event `number` on, or from where it begins if that is later."""
    row = await table.find_checkpoint(connection)
    if number <= (0 if row is None else row.number):
        return begin_chain(await load_checkpoint(database, connection, settings))
    # The hash before the first one is believed here; `verify_trail` believes none.
    held = await list_witness_hashes(connection, [number])
    if number not in held:
        raise BrokenChainError(Break(number, "it is missing"))
    return Chain(number, held[number])


def _check_end(chain: Chain, head: AuditHead) -> None:
    """Raise BrokenChainError unless a chain has ended at the head."""
    if chain.number > head.number:
        raise BrokenChainError(Break(head.number + 1, "it lies beyond the head"))
    if chain.number < head.number:
        raise BrokenChainError(Break(chain.number + 1, "it is missing, as the head tells"))
    if chain.hash != head.hash:
        raise BrokenChainError(Break(head.number, "the head has another hash"))


async def compare_with_witness(database: Database, witness: Witness) -> int:
    """Compare the table with what a follower has seen; return how many events were compared.

    Events that a checkpoint has deleted are left out. Raises BrokenChainError, which names the
    first event that differs, and ConflictError for another epoch, or if the follower has noticed a
    change itself.
    """
    async with database.connection() as connection:
        claim = await load_audit_claim(connection, list(witness.heads))
    if witness.head is None:
        return 0
    if claim.head.epoch != witness.head.epoch:
        raise ConflictError("the follower knows another epoch of the audit trail")
    held: dict[int, bytes | None] = {**claim.earlier, claim.head.number: claim.head.hash}
    compared = sorted(held.keys() & witness.heads.keys())
    for number in compared:
        hash_ = held[number]
        if hash_ is None:
            raise BrokenChainError(Break(number, "it is missing, and a follower has seen it"))
        if hash_[:SAID_BYTES] != witness.heads[number]:
            raise BrokenChainError(Break(number, "a follower has seen another one"))
    if witness.problem is not None:
        raise ConflictError(f"the follower has noticed: {witness.problem}")
    return len(compared)


async def export_trail(
    database: Database,
    settings: Settings,
    write: Callable[[dict[str, Any]], None],
    *,
    after: int | None = None,
) -> None:
    """Give `write` the lines of an export, one by one: all events, or those after a number.

    Raises NotFoundError if there is no event with that number, BrokenChainError for a checkpoint
    that is not ours.
    """
    async with database.transaction() as connection:
        await connection.execute(_SNAPSHOT)
        begin = await load_checkpoint(database, connection, settings)
        if after is None:
            chain = begin_chain(begin)
            write(build_first_line(chain.number, chain.hash, None if begin is None else begin.jws))
        else:
            held = await list_witness_hashes(connection, [after])
            if after not in held:
                raise NotFoundError(f"there is no event {after}")
            write(build_first_line(after, held[after], None))
        async for events in read_audit_events(connection, BEFORE_ALL if after is None else after):
            for event in events:
                write(build_line(event))


def begin_chain(begin: AuditCheckpoint | None) -> Chain:
    """Return the chain from a checkpoint on, from the first event on if there is none."""
    return Chain() if begin is None else Chain(begin.number, begin.hash)


async def load_checkpoint(
    database: Database, connection: Connection, settings: Settings
) -> AuditCheckpoint | None:
    """Return the newest checkpoint, None if there is none.

    Raises BrokenChainError if no signing key of ours has signed it, StartRefusedError if there is
    no master key to tell.
    """
    row = await table.find_checkpoint(connection)
    if row is None:
        return None
    master_key = await load_master_key(database, settings)
    try:
        return await _check_checkpoint(connection, row, master_key)
    # A text that somebody else has put there may fail in any of these ways.
    except (InvalidTokenError, NotFoundError, StartRefusedError, ValueError, KeyError, TypeError):
        reason = "no signing key of this service has signed the checkpoint there"
        raise BrokenChainError(Break(row.number, reason)) from None


async def _check_checkpoint(
    connection: Connection, row: table.CheckpointRow, master_key: MasterKey
) -> AuditCheckpoint:
    """Return what the signed text of a checkpoint says, if it says what its row does."""
    unverified = parse_unverified(row.jws)
    record = await load_signing_key(connection, unverified.kid)
    unseal(record, master_key)  # a row that somebody has put in does not open
    payload = check_signature(
        unverified, typ=AUDIT_CHECKPOINT, algorithms=ALGORITHMS, key=find_public_key(record)
    )
    at = datetime.fromtimestamp(payload["iat"], UTC)
    said = AuditCheckpoint(payload["number"], bytes.fromhex(payload["hash"]), at, row.jws)
    if said.number != row.number:
        raise ValueError("the row has another number")
    return said
