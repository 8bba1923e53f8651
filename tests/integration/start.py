"""What a first start makes, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import list_accounts, list_audiences, list_keys

from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.start import initialise
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

STAGES = [
    "select to_regclass('schema_migrations') is not null",
    "select to_regclass('audit_event') is not null",
    "select exists (select from audience)",
    "select exists (select from signing_key)",
    "select exists (select from api_key)",
]


async def signing_keys(database: Database) -> list[SigningKeyRecord]:
    async with database.connection() as connection:
        return await list_signing_keys(connection)


async def check_all_is_there(database: Database, settings: Settings) -> None:
    """Start once more; afterwards there is one of everything."""
    await initialise(database, settings)
    assert len(await signing_keys(database)) == 2
    assert len(await list_accounts(database)) == len(await list_keys(database)) == 1
    names = [audience.name for audience in await list_audiences(database)]
    assert names == ["api", "tokensvc", "tokensvc:dashboard"]
    await load_master_key(database, settings)
