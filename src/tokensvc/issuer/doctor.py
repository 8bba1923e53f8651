"""Gathers what `tokensvc doctor` judges. Whatever cannot be asked leaves its reason behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.clock import Reading
from tokensvc.core.doctor.facts import (
    DatabaseFacts,
    IdentityFacts,
    MasterKeyFacts,
    MigrationFacts,
    PrimaryFacts,
    SettingsFacts,
    WayFacts,
)
from tokensvc.core.doctor.table import examine
from tokensvc.core.errors import StartRefusedError, UnavailableError
from tokensvc.core.keyring import list_published
from tokensvc.core.notices.endpoint import build_secret_context
from tokensvc.core.sealing import unseal_text
from tokensvc.core.service_identity import Identity
from tokensvc.issuer.postgres_clock import PostgresClock
from tokensvc.issuer.signing.master_key import opens, read_master_key
from tokensvc.issuer.signing.rotation import load_facts
from tokensvc.settings.showing import show_settings
from tokensvc.store.doctor import (
    find_identity,
    find_local_folder,
    find_slot_facts,
    find_standby_facts,
    list_disks,
    list_secrets,
    load_role_facts,
)
from tokensvc.store.fitness import explain_unfit, find_direct_way, find_way, load_fitness
from tokensvc.store.migrate import find_missing, load_migrations
from tokensvc.store.server_facts import load_newest_migration, load_server_facts
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.doctor.finding import Finding
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database


class Examination(NamedTuple):
    """The findings, and what is needed to look from outside.

    `at`: Postgres's clock. `published`: the `kid` of each key in the JWKS. Both are None if the
    database did not tell.
    """

    findings: Sequence[Finding]
    at: datetime | None
    published: Sequence[str] | None


class _Looked(NamedTuple):
    """What the database told: the facts, and what is needed for the look from outside."""

    facts: DatabaseFacts
    at: datetime | None = None
    published: Sequence[str] | None = None
    folder: str | None = None


async def examine_service(
    database: Database, settings: Settings, clock: PostgresClock | None = None
) -> Examination:
    """Examine a service: its settings, its machine, and its database as far as that answers.

    `clock`: has the clocks of this machine.
    """
    problem = await database.ask_hosts()
    looked: _Looked | None = None
    facts: DatabaseFacts | str
    try:
        looked = await _look(database, settings, clock or PostgresClock())
        facts = looked.facts
    except UnavailableError as error:
        facts = error.detail
    folder = None if looked is None or looked.folder is None else Path(looked.folder)
    folders = [settings.data_dir, settings.master_key_path.parent, *filter(None, [folder])]
    findings = examine(
        _build_settings(settings),
        list_disks(folders),
        PrimaryFacts(database.hosts.count, problem),
        facts,
    )
    return Examination(
        findings=list(findings),
        at=None if looked is None else looked.at,
        published=None if looked is None else looked.published,
    )


def _build_settings(settings: Settings) -> SettingsFacts:
    shown = [
        f"{one.name}={'(secret)' if one.is_secret else one.value}"
        for one in show_settings(settings)
        if one.is_set and not one.is_default
    ]
    return SettingsFacts(shown, settings.issuer_url, settings.is_issuer_unreachable)


async def _look(database: Database, settings: Settings, clock: PostgresClock) -> _Looked:
    """Ask the database. What cannot be asked after an earlier answer stays None.

    Raises UnavailableError.
    """
    way = WayFacts(
        usual=await find_way(database),
        direct=None if settings.direct_url is None else await find_direct_way(database),
    )
    async with database.connection() as connection:
        if way.usual == "forgetful pooler":  # any further statement may fail
            version = f"{connection.get_server_version().major}"
            return _Looked(DatabaseFacts(version=version, way=way))
        asked = clock.ask()
        server = await load_server_facts(connection)
        took = clock.ask().on - asked.on
        clocks = Reading(postgres=server.at.timestamp(), wall=asked.wall, on=asked.on, spent=took)
        facts = DatabaseFacts(
            version=server.version,
            way=way,
            unfit=explain_unfit(await load_fitness(connection)),
            clock_difference=clocks.difference,
            standbys=await find_standby_facts(connection),
            slots=await find_slot_facts(connection),
        )
        folder = await find_local_folder(connection)
        if facts.unfit is None:
            is_embedded = settings.database_url is None
            role = await load_role_facts(connection, is_embedded=is_embedded)
            facts = replace(facts, role=role)
        if facts.role is not None and not facts.role.lacks:
            facts = replace(facts, migrations=await _load_migrations(connection))
        published = None
        if facts.migrations is not None and facts.migrations.are_all_applied:
            facts = await _look_into_tables(connection, settings, facts)
            keyring = await load_facts(connection, settings)
            shown = list_published(keyring.records, keyring.policy, keyring.now)
            published = [record.kid for record in shown]
        return _Looked(facts, server.at, published, folder)


async def _load_migrations(connection: Connection) -> MigrationFacts:
    try:
        missing = await find_missing(connection, load_migrations())
    except StartRefusedError as error:
        return MigrationFacts(error.message, (), None)
    names = [migration.name for migration in missing]
    is_empty = len(names) == len(load_migrations())
    return MigrationFacts(
        None, names, None if is_empty else await load_newest_migration(connection)
    )


async def _look_into_tables(
    connection: Connection, settings: Settings, facts: DatabaseFacts
) -> DatabaseFacts:
    """Return the facts with what only a complete schema tells."""
    return replace(
        facts,
        master_key=await _try_master_key(connection, settings),
        identity=IdentityFacts(
            kept=await find_identity(connection),
            ours=Identity(settings.public_issuer, settings.key_prefix),
            former=settings.former_issuer,
        ),
    )


async def _try_master_key(connection: Connection, settings: Settings) -> MasterKeyFacts:
    """Try the master key on all that is sealed and still of use."""
    records = [r for r in await list_signing_keys(connection) if r.revoked_at is None]
    secrets = await list_secrets(connection)
    place = "TOKENSVC_MASTER_KEY" if settings.master_key else str(settings.master_key_path)
    sealed = len(records) + len(secrets)
    try:
        master_key = read_master_key(settings)
    except StartRefusedError as error:
        return MasterKeyFacts(error.message, place, (), sealed)
    unopened = [f"signing key {r.kid}" for r in records if not opens(r, master_key)]
    unopened += [
        f"notice endpoint {endpoint}"
        for endpoint, secret in secrets
        if unseal_text(secret, build_secret_context(endpoint), master_key) is None
    ]
    return MasterKeyFacts(None, place, unopened, sealed)
