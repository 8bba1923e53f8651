"""Acts of all kinds at once, from two processes' pools: one chain, and nobody deadlocks."""

from __future__ import annotations

import asyncio
import random
import string
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from testbed.waiting import until

from tests import endings
from tests.integration.things import ACTOR, make_key, patiently
from tokensvc.core.errors import ConflictError, NotFoundError
from tokensvc.core.limit import LimitChanges
from tokensvc.issuer.admin import accounts, api_keys, audiences, capabilities, key_rotation, tiers
from tokensvc.issuer.admin.audit_check import verify_trail
from tokensvc.issuer.admin.audit_prune import declare_reset
from tokensvc.issuer.signing.rotation import Urgency, rotate_once
from tokensvc.store.pool import open_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.core.api_key import ApiKeyRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

ACTS = 600
AT_ONCE = 12
AT_ONCE_AND_UNSAFE = Urgency(asked=True, at_once=True, force=True)
# Long before a session has waited for a lock in vain, which on a busy machine is no deadlock.
FIND_DEADLOCKS_SOON = """
do $$ begin
    execute format('alter database %I set deadlock_timeout = 50', current_database());
end $$
"""
# A session has told all that it has counted when it has ended.
HAVE_ALL_ENDED = """
select not exists (
    select from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and backend_start > $1
)
"""
COUNT_DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


def choose_act(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    key: ApiKeyRecord,
    chance: random.Random,
) -> Callable[..., Awaitable[Any]]:
    """Return an act on a key, its account, or one of the few names that all acts share."""
    name = f"name-{chance.randrange(4)}"
    new = "".join(chance.choices(string.ascii_lowercase, k=12))
    limits = LimitChanges(tier=name)
    changes = api_keys.KeyChanges(capabilities=[new], limits=limits)
    acts: list[Callable[..., Awaitable[Any]]] = [
        partial(capabilities.create_capability, database, new, ""),
        partial(api_keys.update_key, database, key.id, changes, revoke_tokens=True),
        partial(api_keys.enable_key, database, key.id),
        partial(key_rotation.rotate_key, database, key.id, grace=timedelta(days=1), prefix="tsk-"),
        partial(tiers.create_tier, database, name, key_per_minute=9, key_per_day=9),
        partial(tiers.delete_tier, database, name),
        partial(accounts.update_account, database, key.account_id, limits=limits),
        partial(accounts.resume_account, database, key.account_id),
        partial(audiences.create_audience, database, settings, name),
        partial(audiences.delete_audience, database, settings, name),
        partial(endings.suspend_account, database, key.account_id),
        partial(endings.disable_key, database, key.id),
        partial(rotate_once, database, settings, master_key, urgency=AT_ONCE_AND_UNSAFE),
        partial(declare_reset, database, settings, "an exercise"),
    ]
    return chance.choice(acts)


async def test_acts_of_all_kinds_at_once_make_one_chain_without_a_deadlock(
    database, database_url, settings, started, connection
):
    keys = [(await make_key(database)).listed.record for _ in range(20)]
    chance = random.Random(4)

    async def work(mine: Database) -> None:
        for _ in range(ACTS // AT_ONCE):
            act = choose_act(mine, settings, started.master_key, chance.choice(keys), chance)
            with suppress(ConflictError, NotFoundError):
                await patiently(partial(act, actor=ACTOR))

    before = (await verify_trail(database, settings)).head.number
    await connection.execute(FIND_DEADLOCKS_SOON)
    began_at = await connection.fetchval("select clock_timestamp()")
    pools = [await open_database(database_url, max_size=AT_ONCE) for _ in range(2)]
    await asyncio.gather(*(work(mine) for mine in pools * (AT_ONCE // 2)))
    for mine in pools:
        await mine.close()
    assert (await verify_trail(database, settings)).head.number > before + ACTS // 3
    await until(lambda: connection.fetchval(HAVE_ALL_ENDED, began_at))
    assert await connection.fetchval(COUNT_DEADLOCKS) == 0
