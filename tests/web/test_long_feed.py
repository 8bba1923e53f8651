"""The feed of a long denylist: pages that follow on each other, shared and compressed."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key, read_header, read_payload

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.issuer.revoking.feed import Feed
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.verify import Verifier

MANY = 12_000


async def add_many(connection, count):
    """Put so many revocations into the table, as fast as Postgres can."""
    await connection.execute(
        """
        with head as (
            update feed_head set seq = seq + $1::int, tag = 'tag' || (seq + $1::int)
            where topic = 'denylist' returning seq
        )
        insert into denylist
            (seq, tag, kind, value, watermark, created_at, expires_at, ending, healed)
        select n, 'tag' || n, 'jti', 'jti' || n, null, now(), now() + interval '1 hour',
            'token_revoked', false
        from head, generate_series(head.seq - $1::int + 1, head.seq) as n
        """,
        count,
    )


@pytest.fixture
async def long_feed(service, connection):
    await add_many(connection, MANY)
    await service.mirror.refresh_once()
    return service


async def fetch(client, **query):
    answer = await client.get("/v1/denylist", params=query)
    assert answer.status == 200
    text = await answer.text()
    return text, read_payload(text)


async def test_f33_a_snapshot_is_a_row_of_bounded_pages(long_feed, client):
    del long_feed
    _, page = await fetch(client)
    values = [entry["jti"] for entry in page["entries"]]
    places = [(page["full"], page["after"], page["cursor"])]
    while page["cursor"] != page["head"]:
        assert len(page["entries"]) <= 5000
        _, page = await fetch(client, after=page["cursor"], wait="30")
        values += [entry["jti"] for entry in page["entries"]]
        places.append((page["full"], page["after"], page["cursor"]))
    assert values == [f"jti{n}" for n in range(1, MANY + 1)]
    assert places == [
        (True, None, "5000-tag5000"),
        (False, "5000-tag5000", "10000-tag10000"),
        (False, "10000-tag10000", "12000-tag12000"),
    ]


async def test_f33_a_verifier_reads_all_of_it(long_feed, settings, client):
    del long_feed
    url = str(client.make_url("")).rstrip("/")
    async with Verifier(
        issuer=settings.issuer_url,
        audience="api",
        jwks_url=f"{url}/.well-known/jwks.json",
        denylist_url=f"{url}/v1/denylist",
    ) as verifier:
        status = verifier.status()
        assert (status.ready, status.denylist_entries) == (True, MANY)
        assert status.denylist_cursor == "12000-tag12000"


CODINGS = {
    "gzip": "gzip",
    "gzip, deflate, br": "gzip",
    "br;q=1, GZIP;q=0.5": "gzip",
    "gzip;q=0": None,
    "gzip; q=0.0, br": None,
    "br": None,
    "xgzip": None,
    "identity": None,
    "": None,
}


async def test_a_page_is_compressed_for_those_who_accept_it(long_feed, client, subtests):
    del long_feed
    for accepted, coding in CODINGS.items():
        with subtests.test(msg=str(accepted)):
            headers = {"Accept-Encoding": accepted}
            answer = await client.get("/v1/denylist", headers=headers)
            assert answer.headers.get("Content-Encoding") == coding
            assert answer.headers["Vary"] == "Accept-Encoding, Authorization"
            assert len(read_payload(await answer.text())["entries"]) == 5000


async def test_a_short_page_is_sent_as_it_is(client):
    answer = await client.get("/v1/denylist", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


async def test_f33_newcomers_share_the_pages_in_the_middle_also_while_the_list_grows(
    long_feed, client, connection
):
    crowd = await asyncio.gather(*(fetch(client, after="5000-tag5000") for _ in range(10)))
    assert len({text for text, _ in crowd}) == 1
    await add_many(connection, 1)
    await long_feed.mirror.refresh_once()
    again, _ = await fetch(client, after="5000-tag5000")
    assert again == crowd[0][0]
    _, last = await fetch(client, after="10000-tag10000")
    assert (last["cursor"], last["head"]) == ("12001-tag12001", "12001-tag12001")


async def test_t41_no_page_that_a_revoked_key_has_signed_is_given_to_anybody(
    long_feed, client, database, settings, started
):
    text, _ = await fetch(client, after="5000-tag5000")
    stolen = read_header(text)["kid"]
    await revoke_signing_key_now(
        database, settings, started.master_key, stolen, actor=ACTOR, reason="stolen"
    )
    await long_feed.mirror.refresh_once()
    text, _ = await fetch(client, after="5000-tag5000")
    assert read_header(text)["kid"] != stolen


async def test_f33_one_revocation_is_a_short_page_beside_a_long_list(long_feed, client, database):
    key = await make_key(database)
    await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    await long_feed.mirror.refresh_once()
    text, page = await fetch(client, after="12000-tag12000")
    assert [entry["key"] for entry in page["entries"]] == [key.listed.record.id]
    assert len(text) < 1024


async def test_f33_one_who_goes_away_does_not_take_the_page_from_the_others(long_feed):
    feed = long_feed.feed
    impatient = asyncio.create_task(feed.next_page(None, wait=0))
    patient = asyncio.create_task(feed.next_page(None, wait=0))
    await asyncio.sleep(0)
    impatient.cancel()
    page = await patient
    assert len(read_payload(page.unzip().decode())["entries"]) == 5000


async def test_f33_a_crowd_of_newcomers_gets_its_pages_one_at_a_time(long_feed):
    feed, after = long_feed.feed, parse_cursor("5000-tag5000")
    await feed.next_page(after, wait=0)  # it is shared from now on
    crowd = [asyncio.create_task(feed.next_page(after, wait=0)) for _ in range(4)]
    left = set(crowd)
    for still in (3, 2, 1, 0):
        _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        assert len(left) == still
    assert len({task.result() for task in crowd}) == 1


async def test_a_closed_feed_leaves_no_thread_behind(settings, long_feed):
    feed = Feed(long_feed.mirror, settings)
    before = set(threading.enumerate())
    await feed.next_page(None, wait=0)
    assert set(threading.enumerate()) - before, "a long page is built in a thread"
    await feed.close()
    assert not set(threading.enumerate()) - before
