"""Restoring a backup: into a database beside the present one, which is checked and then renamed.

The services may go on meanwhile. What the present database remembers as revoked is written into the
new one before anybody uses it, as after any loss (`issuer.mirror.healing`). At the swap the
services lose their connections. They connect again, and write again what was acknowledged last.
"""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from tokensvc.core.backup import MOST_BYTES, BackupFacts, parse_first_line
from tokensvc.core.errors import ConflictError, UnavailableError
from tokensvc.core.sealing import unseal
from tokensvc.issuer.admin.audit_check import verify_trail
from tokensvc.issuer.admin.audit_prune import declare_reset
from tokensvc.issuer.database import open_database, open_owner
from tokensvc.issuer.mirror.healing import heal
from tokensvc.issuer.signing.master_key import find_configured, read_master_key
from tokensvc.issuer.start import apply_migrations
from tokensvc.logs.logger import get_logger
from tokensvc.store.beside import Ended, analyze, list_ended_since, open_server
from tokensvc.store.database_url import name_database
from tokensvc.store.denylist import read_after
from tokensvc.store.dump import find_programs, restore_dump
from tokensvc.store.feed_head import list_heads
from tokensvc.store.fitness import load_fitness
from tokensvc.store.signing_key import list_signing_keys
from tokensvc.store.trial_cluster import lend_trial_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tokensvc.core.actor import Actor
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

__all__ = ["Ended", "Restored", "check_backup", "restore_backup"]

_log = get_logger(__name__)

_POOL_SIZE: Final = 4
_LONGEST_NAME: Final = 40  # Postgres cuts names at 63 bytes, and ours are longer than the present


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore has done.

    `former`: the name that the database before has now. `by_hand`: what was ended since the backup
    and nobody remembers; None if the database before could not be read. `left`: statements for an
    administrator, which this role may not run.
    """

    facts: BackupFacts
    former: str
    by_hand: list[Ended] | None
    left: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A database: how its owner and the service connect to it, and the settings that say so."""

    name: str
    owner_url: str
    service_url: str
    settings: Settings

    def beside(self, name: str) -> _Place:
        """Return another database of the same server."""
        owner_url = name_database(self.owner_url, name)
        owner = self.settings.migration_database_url and SecretStr(owner_url)
        return _Place(
            name=name,
            owner_url=owner_url,
            service_url=name_database(self.service_url, name),
            settings=self.settings.model_copy(update={"migration_database_url": owner}),
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        """Lend it, as the service sees it."""
        database = await open_database(self.service_url, max_size=_POOL_SIZE)
        try:
            yield database
        finally:
            await database.close()


async def check_backup(settings: Settings, path: Path) -> tuple[BackupFacts, bool]:
    """Restore a backup into a Postgres that is made for it and gone afterwards.

    Returns what it says of itself, and whether there was a master key to be tried. Raises
    InvalidInputError, ConflictError, StartRefusedError or BrokenChainError if it cannot be used.
    """
    master_key = find_configured(settings)
    # There is no buffer, because pg_restore reads on where the descriptor stands: nothing behind
    # the first line may have been read ahead.
    with path.open("rb", buffering=0) as file:
        facts = parse_first_line(file.readline(MOST_BYTES))
        programs = find_programs(settings.postgres_bin_dir, facts.pg_dump, needs_server=True)
        async with lend_trial_cluster(programs.folder) as url:
            await restore_dump(programs, url, file)
            alone = settings.model_copy(update={"migration_database_url": None})
            place = _Place(name="", owner_url=url, service_url=url, settings=alone)
            async with place.opened() as database:
                await _check(database, alone, facts, master_key)
    return facts, master_key is not None


async def restore_backup(
    database: Database, settings: Settings, path: Path, *, actor: Actor
) -> Restored:
    """Put what is in a backup into the place of the database, and keep that under another name.

    Raises as `check_backup`, and ConflictError if the role may not make and rename databases, or
    if others use the database. Nothing has changed then.
    """
    master_key = read_master_key(settings)
    with path.open("rb", buffering=0) as file:
        facts = parse_first_line(file.readline(MOST_BYTES))
        present, major = await _find_present(database, settings)
        programs = find_programs(settings.postgres_bin_dir, max(facts.pg_dump, major))
        name, mark = present.name[:_LONGEST_NAME], secrets.token_hex(3)
        beside = present.beside(f"{name}_restored_{mark}")
        former = present.beside(f"{name}_before_{mark}")
        roles = [present.owner_url, present.service_url]
        async with open_server(roles, present.name) as server:
            left = await server.make(beside.name)
            try:
                await restore_dump(programs, beside.owner_url, file)
                by_hand = await _make_ready(present, beside, facts, master_key, actor)
                await server.swap(beside.name, former.name)
            # The present database is as it was: the swap comes last, and is done whole or not.
            except BaseException:
                await server.drop(beside.name)
                raise
    # What was acknowledged between the first look and the swap, in case no service remembers it.
    try:
        await _carry_over(former, present, master_key)
    except UnavailableError as error:  # what is to be said about the restore must not be lost
        _log.error("revocations_not_carried_over", former=former.name, reason=error.reason)
    return Restored(facts=facts, former=former.name, by_hand=by_hand, left=left)


async def _find_present(database: Database, settings: Settings) -> tuple[_Place, int]:
    """Return the database as it is, and the major version of its server."""
    service_url = await database.find_primary_url()
    async with open_owner(database, settings) as owner:
        owner_url = await owner.find_primary_url()
    async with database.connection() as connection:
        fitness = await load_fitness(connection)
    place = _Place(
        name=fitness.database, owner_url=owner_url, service_url=service_url, settings=settings
    )
    return place, fitness.major


async def _make_ready(
    present: _Place, beside: _Place, facts: BackupFacts, master_key: MasterKey, actor: Actor
) -> list[Ended] | None:
    """Bring a restored database to where it can be used; return what is to be ended by hand."""
    async with beside.opened() as database:
        await _check(database, beside.settings, facts, master_key)
        reason = f"the backup of {facts.made_at.isoformat()} was restored"
        await declare_reset(database, beside.settings, reason, actor=actor)
    await analyze(beside.owner_url)
    await _carry_over(present, beside, master_key)
    return await list_ended_since(present.service_url, facts.made_at)


async def _check(
    database: Database, settings: Settings, facts: BackupFacts, master_key: MasterKey | None
) -> None:
    """Bring the schema up to date, and prove the audit trail and the signing keys.

    Raises StartRefusedError, BrokenChainError, ConflictError.
    """
    await apply_migrations(database, settings)
    head = (await verify_trail(database, settings)).head
    if (head.number, head.hash.hex()) != (facts.audit_number, facts.audit_hash):
        raise ConflictError(
            f"the audit trail ends with event {head.number}, and the backup says that it ends with "
            f"{facts.audit_number}, or another one"
        )
    if master_key is not None:
        async with database.connection() as connection:
            for record in await list_signing_keys(connection):
                if record.revoked_at is None:
                    unseal(record, master_key)


async def _carry_over(source: _Place, target: _Place, master_key: MasterKey) -> None:
    """Write what is revoked in `source` into `target`, with the states that belong to it.

    Nothing is done if `source` cannot be read: it may be empty, or half destroyed.
    """
    async with AsyncExitStack() as stack:
        try:
            present = await stack.enter_async_context(source.opened())
            async with present.connection() as connection:
                _, now = await list_heads(connection)
                # Every position lies behind -1, so this is all of it.
                remembered = [r async for part in read_after(connection, -1, now) for r in part]
        except UnavailableError:
            return
        database = await stack.enter_async_context(target.opened())
        async with database.connection() as connection:
            _, now = await list_heads(connection)
        await heal(database, target.settings, master_key, remembered, now)
