"""A backup: everything in the database at one moment, in a file. The master key is not in it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from tokensvc import __version__
from tokensvc.core.backup import BackupFacts, build_first_line
from tokensvc.core.errors import InvalidInputError
from tokensvc.issuer.database import open_owner
from tokensvc.store.audit_event import load_audit_head
from tokensvc.store.dump import DumpPrograms, find_programs, write_dump
from tokensvc.store.fitness import load_fitness
from tokensvc.store.private_file import create_private
from tokensvc.store.server_facts import load_newest_migration, load_server_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database


async def make_backup(database: Database, settings: Settings, path: Path) -> BackupFacts:
    """Write a backup to a new file, mode 0600; return what it says of itself.

    Raises InvalidInputError if the file exists, StartRefusedError if pg_dump is missing or fails,
    and OSError if the file cannot be written. Nothing is left of a backup that failed.
    """
    async with open_owner(database, settings) as owner:
        url = await owner.find_primary_url()
        async with owner.transaction() as connection:
            # The backup is of one moment: pg_dump reads by the snapshot of this transaction, which
            # must stay open meanwhile although it has nothing to do.
            await connection.execute(
                "set transaction isolation level repeatable read, read only;"
                " set local idle_in_transaction_session_timeout = 0"
            )
            major = (await load_fitness(connection)).major
            programs = find_programs(settings.postgres_bin_dir, major)
            facts = await _load_facts(connection, programs, major)
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            with _new_file(path) as file:
                file.write(build_first_line(facts))
                await write_dump(programs, url, snapshot, file.write)
    return facts


async def _load_facts(connection: Connection, programs: DumpPrograms, major: int) -> BackupFacts:
    head = await load_audit_head(connection)
    return BackupFacts(
        version=__version__,
        made_at=(await load_server_facts(connection)).at,
        postgres=major,
        pg_dump=programs.major,
        migration=await load_newest_migration(connection) or "",
        audit_number=head.number,
        audit_hash=head.hash.hex(),
        audit_epoch=head.epoch,
    )


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Lend a new file, which is on the disk at the end, or gone if anything failed."""
    try:
        file = create_private(path)
    except FileExistsError as error:
        raise InvalidInputError(f"{path} exists already; name a new file") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
