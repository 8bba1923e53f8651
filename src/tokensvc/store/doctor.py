"""What `tokensvc doctor` asks Postgres and the disks (`sql/queries/doctor.sql`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import asyncpg

from tokensvc.core.doctor.facts import Disk, RoleFacts, Slot, SlotFacts, StandbyFacts
from tokensvc.core.service_identity import Identity
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SQL = load_queries("doctor")
# Of a managed Postgres that keeps some functions from its customers.
_NOT_TOLD: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,
    asyncpg.FeatureNotSupportedError,
)


async def load_role_facts(connection: asyncpg.Connection, *, is_embedded: bool) -> RoleFacts:
    """Return what the role of the connection may do."""
    (row,) = await connection.fetch(_SQL["load_role"])
    return RoleFacts(**dict(row), is_embedded=is_embedded)


async def find_standby_facts(connection: asyncpg.Connection) -> StandbyFacts | None:
    """Return the standbys of the primary, None if the role may not ask."""
    try:
        (row,) = await connection.fetch(_SQL["load_standbys"])
    except _NOT_TOLD:
        return None
    return StandbyFacts(**dict(row))


async def find_slot_facts(connection: asyncpg.Connection) -> SlotFacts | None:
    """Return the replication slots and their limit, None if the role may not ask."""
    try:
        limit: int = await connection.fetchval(_SQL["load_slot_limit"])
        rows = await connection.fetch(_SQL["list_slots"])
    except _NOT_TOLD:
        return None
    return SlotFacts(limit, [Slot(**dict(row)) for row in rows])


async def find_local_folder(connection: asyncpg.Connection) -> str | None:
    """Return the data folder of a Postgres on this machine, None if that cannot be told."""
    folder: str | None = await connection.fetchval(_SQL["find_local_folder"])
    return folder


async def find_identity(connection: asyncpg.Connection) -> Identity | None:
    """Return who the service is, as its starts said; None before the first one."""
    row = await connection.fetchrow(_SQL["find_identity"])
    return None if row is None else Identity(**dict(row))


async def list_secrets(connection: asyncpg.Connection) -> list[tuple[str, bytes]]:
    """Return the sealed secret of each receiver of notices, with the id of the receiver."""
    return [
        (row["id"], row["sealed_secret"]) for row in await connection.fetch(_SQL["list_secrets"])
    ]


def list_disks(folders: Iterable[Path]) -> list[Disk]:
    """Return the file systems of those folders that are there, each file system once."""
    found: dict[int, Disk] = {}
    for folder in folders:
        try:
            device, disk = folder.stat().st_dev, os.statvfs(folder)
        except OSError:
            continue
        found.setdefault(
            device,
            Disk(
                folder=str(folder.resolve()),
                # This is what an ordinary user may fill. Some of the rest is kept for root.
                free_bytes=disk.f_bavail * disk.f_frsize,
                total_bytes=disk.f_blocks * disk.f_frsize,
                # Some file systems have no limit of files, and say 0 of all.
                free_files=disk.f_favail if disk.f_files else None,
            ),
        )
    return list(found.values())
