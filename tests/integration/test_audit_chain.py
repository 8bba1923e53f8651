"""The audit trail is one chain, and nothing of it can be changed unseen."""

from __future__ import annotations

import asyncio
import random
import string
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import asyncpg
import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key, patiently
from tests.rows import list_events

from tokensvc.core.actor import Actor
from tokensvc.core.audit_chain import FIRST_HASH, Chain
from tokensvc.core.audit_event import AuditFilter
from tokensvc.issuer.admin import accounts, audiences
from tokensvc.issuer.audit import Trail, record
from tokensvc.store.audit_event import (
    list_witness_hashes,
    load_audit_head,
    read_audit_events,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Letters that JSON escapes, that are long in UTF-8, and that are sorted in another order there.
LETTERS = 'aZ"\\/\b\f\n\r\t\x01\x1f\x7f é€\u2028\U0001f511\ufffd'


async def read_all(connection):
    return [e async for events in read_audit_events(connection) for e in events]


async def test_all_that_happens_makes_one_chain_that_ends_at_the_head(
    database, settings, started, connection
):
    del started
    key = (await make_key(database)).listed.record
    await audiences.create_audience(database, settings, "orders", actor=ACTOR)
    await endings.delete_key(database, key.id, actor=ACTOR)
    events = await read_all(connection)
    chain = Chain()
    assert chain.find_break(events) is None
    head = await load_audit_head(connection)
    assert (chain.number, chain.hash) == (head.number, head.hash)
    assert [event.number for event in events] == list(range(1, head.number + 1))


async def test_the_text_of_an_event_is_the_same_in_python_and_in_postgres(database, connection):
    chance = random.Random(6)
    for _ in range(40):
        async with database.transaction() as opened:
            name, subject, request_id = (new_text(chance) for _ in range(3))
            address = new_text(chance) if chance.random() < 0.5 else None
            actor = Actor(name=name, address=address, account_id=address, request_id=request_id)
            detail = {new_text(chance): new_value(chance, 3) for _ in range(chance.randrange(6))}
            await record(opened, actor, "keys.update", subject, **detail)
    events = await read_all(connection)
    assert len(events) == 40
    assert Chain().find_break(events) is None


async def test_an_event_has_its_actor_with_an_address_that_may_end(database, connection):
    actor = Actor(name="key_1", account_id="acct_1", address="192.0.2.7", request_id="r1")
    account = await accounts.create_account(database, "Orders", actor=actor)
    (event,) = await list_events(database, AuditFilter(subject=account.id), most=5)
    assert (event.actor, event.account_id, event.address, event.request_id) == (
        "key_1", "acct_1", "192.0.2.7", "r1",
    )  # fmt: skip
    assert event.address_salt is not None
    assert event.address_commitment == sha256(event.address_salt + b"192.0.2.7").digest()
    await connection.execute("delete from audit_address")
    (without,) = await read_all(connection)
    assert without.address is None
    assert Chain().find_break([without]) is None


async def test_a_hundred_acts_at_once_make_one_chain(database, connection):
    keys = [(await make_key(database)).listed.record for _ in range(20)]
    acts: list[Callable[..., Awaitable[object]]] = [
        *(partial(endings.revoke_key, database, key.id, actor=ACTOR) for key in keys),
        *(partial(endings.suspend_account, database, key.account_id, actor=ACTOR) for key in keys),
        *(partial(make_key, database, account=key.account_id) for key in keys),
        *(
            partial(make_key, database, account=key.account_id, capabilities=[f"{letter * 8}:read"])
            for letter, key in zip(string.ascii_letters, keys, strict=False)
        ),
        *(partial(accounts.create_account, database, "Orders", actor=ACTOR) for _ in keys),
    ]
    before = (await load_audit_head(connection)).number
    await asyncio.gather(*map(patiently, acts))
    events = await read_all(connection)
    assert len(events) >= before + len(acts)
    assert Chain().find_break(events) is None


async def test_witnesses_are_told_what_the_table_holds_now(database, connection):
    for _ in range(3):
        await accounts.create_account(database, "Orders", actor=ACTOR)
    events = await read_all(connection)
    assert await list_witness_hashes(connection, [2, 3, 100]) == {
        2: events[1].hash, 3: events[2].hash,
    }  # fmt: skip
    await meddle(connection, "update audit_event set hash = '\\x00' where number = 2")
    assert (await list_witness_hashes(connection, [2]))[2] == b"\0"


async def test_the_trail_is_append_only_for_its_owner_too(database, connection, subtests):
    await accounts.create_account(database, "Orders", actor=ACTOR)
    for statement in (
        "update audit_event set subject = 'x'",
        "delete from audit_event",
        "truncate audit_event",
        "truncate audit_event cascade",
        "update audit_checkpoint set number = 1",
        "truncate audit_checkpoint",
        "delete from audit_head",
        "truncate audit_head",
        "update audit_head set number = number - 1",
        "update audit_head set hash = '\\x00'",
    ):
        with (
            subtests.test(msg=statement),
            pytest.raises(asyncpg.InsufficientPrivilegeError, match="audit trail"),
        ):
            await connection.execute(statement)


@pytest.mark.parametrize("inner", [0.5, [1.0], ({"a": 1e300},)])
def test_a_fraction_is_refused_before_it_is_written(inner):
    trail = Trail(ACTOR)
    with pytest.raises(ValueError, match="fraction"):
        trail.note("keys.update", "key_1", after={"limits": inner})
    trail.note("keys.update", "key_1", after={"limits": (1, None, "1.5")})
    assert trail.is_begun


async def test_the_first_event_follows_the_hash_of_nothing(connection):
    head = await load_audit_head(connection)
    assert (head.number, head.hash, len(head.epoch)) == (0, FIRST_HASH, 32)


async def meddle(connection, statement, *arguments):
    """Change the trail as a superuser can, past the triggers."""
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(statement, *arguments)


def new_text(chance):
    return "".join(chance.choices(LETTERS, k=chance.randrange(1, 6)))


def new_value(chance, depth):
    """Return any JSON without fractions, as deep as `depth`."""
    kind = chance.randrange(8 if depth else 6)
    if kind == 7:
        return {new_text(chance): new_value(chance, depth - 1) for _ in range(chance.randrange(5))}
    if kind == 6:
        return [new_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return [None, True, False, "", new_text(chance), chance.randrange(-(10**20), 10**20)][kind]
