"""A batch over many keys makes nobody wait for long."""

from __future__ import annotations

import secrets
import time

from tests.integration.things import ACTOR
from tokensvc.issuer.admin import accounts, key_batches
from tokensvc.issuer.admin.api_keys import KeyChanges
from tokensvc.issuer.admin.key_chunks import BatchCaller
from tokensvc.store.pool import open_database

ALL_KEYS = 100_000
AT_ONCE = 10_000
IN_BATCH = 1000
MOST_ROWS = 100  # in one transaction
MOST_READ = 10  # for one key
MOST_SECONDS = 0.05  # of one transaction, on the average of some hundred
CALLER = BatchCaller(actor=ACTOR, grantor=None, owner=None)

INSERT = """
with made as (
    insert into api_key
        (id, account_id, digest, hint, name, description, capabilities, created_at, window_id)
    select key_id, $1, sha256(key_id::bytea), '', 'n', '', '{a}',
        clock_timestamp(), key_id
    from (
        select 'key_' || lpad(n::text, 16, '0') from generate_series($2::int, $3::int) n
    ) as made_up (key_id)
    returning id
)
insert into api_key_window (key_id) select id from made
"""


# Postgres names the transaction that made each row as it is now.
COUNT_ROWS = "select count(*) from api_key where id = any ($1) group by xmin::text"
# By itself, a session tells it once in a second at most.
TELL_WHAT_WAS_READ = "select pg_stat_force_next_flush()"
# Of the tables with a row for each key.
COUNT_READ = """
select sum(seq_tup_read + idx_tup_fetch)::bigint from pg_stat_user_tables
where relname in ('api_key', 'api_key_window')
"""


async def count_read(database):
    """Return how many rows were read so far, with those of the one connection of `database`."""
    async with database.connection() as connection:
        await connection.execute(TELL_WHAT_WAS_READ)
        return await connection.fetchval(COUNT_READ)


async def test_a_batch_of_a_thousand_keys_holds_no_lock_for_long(
    database_url, connection, subtests, capsys
):
    database = await open_database(database_url, max_size=1)
    account = await accounts.create_account(database, "Large", actor=ACTOR)
    for first in range(1, ALL_KEYS, AT_ONCE):
        await connection.execute(INSERT, account.id, first, first + AT_ONCE - 1, timeout=60)
    await connection.execute("analyze", timeout=60)
    await connection.execute(TELL_WHAT_WAS_READ)
    first = secrets.randbelow(ALL_KEYS - IN_BATCH)
    ids = [f"key_{first + place:016}" for place in range(1, IN_BATCH + 1)]
    changes = {key_id: KeyChanges(description="changed") for key_id in ids}
    transactions, spent = 0, 0.0
    for act, carry_out in (
        ("update", lambda: key_batches.update_keys(database, changes, caller=CALLER)),
        ("disable", lambda: end(database, "key_disabled", ids)),
        ("enable", lambda: key_batches.enable_keys(database, ids, caller=CALLER)),
        ("revoke", lambda: end(database, "key_revoked", ids)),
    ):
        before, begun = await count_read(database), time.monotonic()
        outcomes = await carry_out()
        seconds = time.monotonic() - begun
        read = await count_read(database) - before
        rows = [row["count"] for row in await connection.fetch(COUNT_ROWS, ids)]
        transactions, spent = transactions + len(rows), spent + seconds
        with capsys.disabled():
            print(
                f"\n{act}: {len(rows)} transactions of {max(rows)} keys at most, {seconds:.2f} s, "
                f"{seconds / len(rows) * 1000:.1f} ms each; {read / IN_BATCH:.1f} rows read per key"
            )
        with subtests.test(msg=act):
            assert all(outcome.error is None for outcome in outcomes.values())
            # How long one transaction takes may tell of the machine. How much is done in it does
            # not, and it must not grow with the number of all keys.
            assert max(rows) <= MOST_ROWS
            assert read <= MOST_READ * IN_BATCH
    assert spent / transactions <= MOST_SECONDS
    await database.close()


async def end(database, ending, ids):
    return await key_batches.end_keys(
        database, ending, ids, caller=CALLER, reason="", remember=_forget
    )


def _forget(records):
    """Keep no revocation: nothing is lost here."""
    del records
