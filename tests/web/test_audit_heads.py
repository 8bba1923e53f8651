"""The feed carries what the audit trail holds, and followers notice when somebody changes it."""

from __future__ import annotations

import pytest
from tests.factories import parse_page
from tests.integration.test_audit_chain import meddle
from tests.integration.things import ACTOR, read_header, read_payload

from tokensvc.core.audit_witness import Witness
from tokensvc.core.errors import ConflictError
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.admin.audit_check import compare_with_witness

FILL = """
select append_audit_events(
    array_agg('{"name": "cli:root"}'::jsonb), array_agg('keys.update'::text),
    array_agg('key_' || n), array_agg('{}'::jsonb)
)
from generate_series(1, $1::int) as n
"""


@pytest.fixture
def poll(client, service):
    """A function that lets a witness read one page, and returns what is wrong."""

    async def poll(witness):
        await service.mirror.audit_heads.read_once()
        answer = await client.get("/v1/denylist")
        page = parse_page(read_payload(await answer.text()))
        return witness.compare(page.audit, page.issued_at)

    return poll


async def test_a_page_says_the_head_and_the_hashes_of_earlier_events(client, service, connection):
    await connection.execute(FILL, 450)
    await service.mirror.audit_heads.read_once()
    page = read_payload(await (await client.get("/v1/denylist")).text())
    said = page["audit"]
    head = await connection.fetchrow("select * from audit_head")
    assert (said["number"], said["hash"], said["epoch"]) == (
        head["number"],
        head["hash"].hex(),
        head["epoch"],
    )
    assert {"100", "200", "300", "400"} <= said["earlier"].keys()
    whole = await connection.fetchval("select hash from audit_event where number = 300")
    assert said["earlier"]["300"] == whole[:16].hex()


async def test_t44_a_cut_tail_is_noticed_within_one_poll(connection, database, poll):
    witness = Witness()
    await accounts.create_account(database, "Orders", actor=ACTOR)
    assert await poll(witness) is None
    last = max(witness.heads)
    await meddle(connection, "delete from audit_event where number = $1", last)
    assert await poll(witness) == f"event {last} is missing, which was there before"


async def test_t44_a_rewritten_event_is_noticed_within_one_poll(connection, database, poll):
    witness = Witness()
    await accounts.create_account(database, "Orders", actor=ACTOR)
    assert await poll(witness) is None
    last = max(witness.heads)
    await meddle(connection, "update audit_event set hash = sha256(hash) where number = $1", last)
    await accounts.create_account(database, "Stock", actor=ACTOR)  # the trail goes on meanwhile
    assert await poll(witness) == f"event {last} has another hash than before"


async def test_whoever_was_away_asks_for_one_event(client, connection):
    await connection.execute(FILL, 60)
    answer = await client.get("/v1/audit-heads", params={"number": "37"})
    text = await answer.text()
    assert answer.status == 200, text
    assert read_header(text)["typ"] == "audit-head+jwt"
    payload = read_payload(text)
    assert payload["aud"] == "tokensvc:denylist"
    whole = await connection.fetchval("select hash from audit_event where number = 37")
    assert payload["audit"]["earlier"] == {"37": whole[:16].hex()}
    lost = await (await client.get("/v1/audit-heads", params={"number": "99999"})).text()
    assert read_payload(lost)["audit"]["earlier"] == {"99999": None}


async def test_a_number_that_is_none_is_refused(client, subtests):
    for number in (
        "",
        "0",
        "-1",
        "1.5",
        "x",
        "9" * 19,
    ):
        with subtests.test(msg=number):
            answer = await client.get("/v1/audit-heads", params={"number": number})
            assert answer.status == 400


async def test_the_table_is_compared_with_what_a_follower_has_kept(connection, database, poll):
    witness = Witness()
    await accounts.create_account(database, "Orders", actor=ACTOR)
    await poll(witness)
    compared = await compare_with_witness(database, witness)
    assert compared == len(witness.heads)
    last = max(witness.heads)
    await meddle(connection, "update audit_event set hash = sha256(hash) where number = $1", last)
    with pytest.raises(ConflictError, match=f"event {last}"):
        await compare_with_witness(database, witness)
