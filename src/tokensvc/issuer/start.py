"""The first start and every start: schema, master key, signing keys, audiences, first admin.

Several processes may run it at once, and it may be killed anywhere: each step is done as a whole or
not at all, and repeating it changes nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.audience import DASHBOARD_AUDIENCE, OWN_AUDIENCE
from tokensvc.core.capability import ADMIN
from tokensvc.core.errors import DatabaseRefusedError, StartRefusedError, UnavailableError
from tokensvc.core.service_identity import Identity, decide_identity
from tokensvc.issuer.admin.accounts import insert_account
from tokensvc.issuer.admin.api_keys import KeyWish, insert_key
from tokensvc.issuer.admin.audiences import finish_change, insert_audience
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.database import open_owner
from tokensvc.issuer.signing.master_key import find_configured, load_master_key
from tokensvc.issuer.signing.rotation import rotate_all_once
from tokensvc.logs.logger import get_logger
from tokensvc.store.account import has_accounts
from tokensvc.store.audience import find_is_own, list_audiences
from tokensvc.store.fitness import check_database
from tokensvc.store.issuance import raise_longest_life
from tokensvc.store.keyfile import create_master_key
from tokensvc.store.migrate import (
    grant_service_rights,
    load_migrations,
    load_role,
    migrate,
    one_at_a_time,
)
from tokensvc.store.service_identity import lock_identity, replace_identity
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

ACTOR: Final = Actor(name="start")
_RETRY_SECONDS: Final = 1.0
_MOST_JITTER_SECONDS: Final = 0.25
_DATABASE_WAIT_SECONDS: Final = 30.0
# As long as a person works with a dashboard; what is dangerous asks for the API key again.
_OWN_TOKEN_LIFE: Final = timedelta(hours=1)
_DESCRIPTIONS: Final = {
    OWN_AUDIENCE: "calls to tokensvc itself",
    DASHBOARD_AUDIENCE: "the dashboard of tokensvc",
}

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """What a start has opened and made."""

    master_key: MasterKey
    admin: NewKey | None  # the first admin key, on the very first start


async def initialise(
    database: Database,
    settings: Settings,
    announce: Callable[[NewKey], None] | None = None,
    *,
    default_wait: float = _DATABASE_WAIT_SECONDS,
) -> Started:
    """Bring the database and the keys to where the service can serve.

    `announce` shows the first admin key. It is called just before the key is committed, so a start
    that is killed there leaves no key that nobody has seen: the next one makes and shows another.
    `default_wait`: for how many seconds to wait for Postgres if no setting says it.

    Raises StartRefusedError, UnavailableError.
    """
    await wait_for_database(database, settings.database_wait, default_wait)
    try:
        await check_database(database)
        return await _make_all(database, settings, announce)
    except DatabaseRefusedError as error:  # of another URL than that of the service
        raise StartRefusedError(error.detail) from error


async def _make_all(
    database: Database, settings: Settings, announce: Callable[[NewKey], None] | None
) -> Started:
    """Make what is missing, while no other process does."""
    holder = await database.connect_apart()
    try:
        async with one_at_a_time(holder):
            for name in await _migrate(database, settings):
                _log.info("migration_applied", name=name)
            await _check_identity(database, settings)
            master_key = await _open_master_key(database, settings)
            # The audiences come before the signing keys: they say which algorithms sign.
            await _ensure_audiences(database, settings)
            await rotate_all_once(database, settings, master_key, actor=ACTOR)
            admin = await _create_first_admin(database, settings, announce)
    finally:
        await holder.close()
    return Started(master_key, admin)


async def apply_migrations(database: Database, settings: Settings) -> list[str]:
    """Apply the migrations that are missing; return their names.

    Raises StartRefusedError, UnavailableError.
    """
    holder = await database.connect_apart()
    try:
        async with one_at_a_time(holder):
            return await _migrate(database, settings)
    finally:
        await holder.close()


async def wait_for_database(
    database: Database, configured: int | None, default: float = _DATABASE_WAIT_SECONDS
) -> None:
    """Wait until Postgres answers; give up after `configured` seconds, else after `default`.

    If it answers but refuses, as for a wrong password, the `default` does not count: unless a time
    is `configured`, it gives up at once. Raises StartRefusedError.
    """
    seconds = default if configured is None else configured
    begun_on = time.monotonic()
    while True:
        try:
            async with database.connection() as connection:
                await connection.fetchval("select 1")
        except UnavailableError as error:
            is_refused = isinstance(error, DatabaseRefusedError)
            patience = (configured or 0) if is_refused else seconds
            left = patience - (time.monotonic() - begun_on)
            if left <= 0:
                raise _give_up(database, error, seconds) from error
            finite = {"seconds_left": round(left)} if left < math.inf else {}
            _log.warning("waiting_for_database", reason=error.reason, detail=error.detail, **finite)
            await asyncio.sleep(new_pause())
        else:
            return


def _give_up(database: Database, error: UnavailableError, seconds: float) -> StartRefusedError:
    """Return why the service does not start: what Postgres said, or that it said nothing."""
    if isinstance(error, DatabaseRefusedError):
        return StartRefusedError(error.detail)
    problem = database.problem
    detail = error.detail if problem is None else f"{database.hosts.setting}: {problem.detail}"
    return StartRefusedError(
        f"the database did not answer within {seconds:g} s. {detail}. Check that Postgres runs; "
        "TOKENSVC_DATABASE_WAIT is how long to wait"
    )


def new_pause() -> float:
    """Return how many seconds to wait before Postgres is tried again: never less than one.

    They differ, so that processes which lost it together do not all come back together.
    """
    return _RETRY_SECONDS + random.uniform(0, _MOST_JITTER_SECONDS)  # noqa: S311 - spreads load


async def _migrate(database: Database, settings: Settings) -> list[str]:
    """Apply what is missing as the owner of the tables, who grants the service its rights."""
    async with database.connection() as connection:
        service = await load_role(connection)
    async with open_owner(database, settings) as owner:
        if owner is not database:
            await check_database(owner)
        async with owner.connection() as connection:
            applied = await migrate(connection, load_migrations())
            if await grant_service_rights(connection, service):
                _log.info("rights_granted", role=service)
    return applied


async def _check_identity(database: Database, settings: Settings) -> None:
    """Compare who this service is with what the database has kept, and keep what is new."""
    ours = Identity(settings.public_issuer, settings.key_prefix)
    async with database.transaction() as connection:
        kept = await lock_identity(connection)
        choice = decide_identity(kept, ours, former=settings.former_issuer)
        if choice.kept != kept:
            await replace_identity(connection, choice.kept)
    for warning in choice.warnings:
        _log.warning("other_identity", detail=warning)


async def _open_master_key(database: Database, settings: Settings) -> MasterKey:
    """Load the master key; make it first if the settings name none and no signing key needs one."""
    async with database.connection() as connection:
        has_keys = bool(await list_signing_keys(connection))
    is_named = settings.master_key is not None or settings.master_key_file is not None
    if not has_keys and not is_named and find_configured(settings) is None:
        create_master_key(settings.master_key_path)
        _log.info("master_key_created", path=str(settings.master_key_path))
    return await load_master_key(database, settings)


async def _ensure_audiences(database: Database, settings: Settings) -> None:
    """Make the audiences that are always there, and remember how long tokens may live."""
    name = settings.default_audience
    async with database.transaction() as connection:
        await raise_longest_life(connection, settings.issuing_policy.token_life)
        trail = Trail(ACTOR)
        for own, description in _DESCRIPTIONS.items():
            await _ensure_own_audience(connection, settings, trail, own, description)
        if name not in {audience.name for audience in await list_audiences(connection)}:
            await insert_audience(connection, settings, name, trail, description="the default")
        if trail.is_begun:
            await finish_change(connection, trail)


async def _ensure_own_audience(
    connection: Connection, settings: Settings, trail: Trail, name: str, description: str
) -> None:
    """Make an audience of the service itself, if it is missing.

    An audience of that name that somebody else made is refused: its tokens, which other services
    are shown, would be good for calls to this one.
    """
    is_own = await find_is_own(connection, name)
    if is_own is None:
        await insert_audience(
            connection,
            settings,
            name,
            trail,
            description=description,
            token_life=min(_OWN_TOKEN_LIFE, settings.issuing_policy.max_token_life),
            is_own=True,
        )
    elif not is_own:
        raise StartRefusedError(
            f"the audience {name!r} was made by hand, and the service needs that name for "
            f"{description}; give its relying parties another audience, then run: "
            f"tokensvc audience delete {name}"
        )


async def _create_first_admin(
    database: Database, settings: Settings, announce: Callable[[NewKey], None] | None
) -> NewKey | None:
    """Make the first account, with an admin key, in a database that has never had an account."""
    async with database.transaction() as connection:
        if await has_accounts(connection):
            return None
        trail = Trail(ACTOR)
        account = await insert_account(connection, "admin", trail)
        made_by = "made by the first start"
        wish = KeyWish(name="first admin", capabilities=[ADMIN], description=made_by)
        prefix = settings.key_prefix
        admin = await insert_key(connection, account.id, wish, trail, prefix=prefix)
        await trail.append(connection)
        if announce is not None:
            announce(admin)
        return admin
