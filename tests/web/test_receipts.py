"""Receipts over HTTP: our verifier names itself, operators see its position, `--wait` waits."""

from __future__ import annotations

import asyncio

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.things import ACTOR, list_followers, make_key
from tests.web.asking import get_own_token

from tokensvc.issuer.admin import accounts
from tokensvc.verify import Verifier


@pytest.mark.parametrize(
    ("given", "shown"), [(None, "api@"), ("orders-1", "orders-1")], ids=["by itself", "named"]
)
async def test_a_verifier_names_itself_and_its_next_question_is_its_receipt(
    given, shown, client, service, database, settings
):
    del client
    async with Verifier(issuer=settings.issuer_url, audience="api", follower=given) as verifier:
        await until(lambda: _seqs(database))
        account = await accounts.create_account(database, "Orders", actor=ACTOR)
        await endings.suspend_account(database, account.id, actor=ACTOR)
        await until(lambda: _is_current(database, 1))
        (follower,) = await list_followers(database)
        assert follower.id.name.startswith(shown)
        assert verifier.status().denylist_cursor == str(service.mirror.denylist.log.head)


async def test_a_verifier_that_wants_no_name_has_none(client, database, settings):
    del client
    async with Verifier(issuer=settings.issuer_url, audience="api", follower=""):
        await asyncio.sleep(0.6)
    assert await list_followers(database) == []


async def test_a_name_that_will_not_do_is_refused(client, service):
    answer = await client.get(
        "/v1/denylist",
        params={"after": str(service.mirror.denylist.log.head), "follower": "no good"},
    )
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_request")


async def _seqs(database):
    return [follower.seq for follower in await list_followers(database)]


async def _is_current(database, seq):
    return await _seqs(database) == [seq]


async def test_a_verifier_that_is_closed_says_goodbye(client, database, settings):
    del client
    async with Verifier(issuer=settings.issuer_url, audience="api", follower="short"):
        await until(lambda: _seqs(database), 5)
    await until(lambda: _has_no_follower(database), 5)


async def test_on_an_open_feed_a_token_proves_who_follows_and_a_bad_one_is_refused(
    client, service, database
):
    made = await make_key(database, capabilities=("tokensvc:denylist",))
    follower_token = await get_own_token(client, made, "tokensvc:denylist")
    asked = {"after": str(service.mirror.denylist.log.head), "follower": "orders"}
    shown = {"Authorization": f"Bearer {follower_token}"}
    answer = await client.get("/v1/denylist", params=asked, headers=shown)
    assert answer.status == 200
    await service.receipts.flush_once()
    (follower,) = await list_followers(database)
    assert follower.authenticated
    assert follower.id.name == "orders"
    bad = await client.get("/v1/denylist", params=asked, headers={"Authorization": "Bearer x.y.z"})
    assert bad.status == 401
    stranger = await client.delete("/v1/denylist", params={"follower": "orders"})
    assert stranger.status == 204
    await service.receipts.flush_once()
    assert len(await list_followers(database)) == 1, "a stranger sends away only strangers"
    own = await client.delete("/v1/denylist", params={"follower": "orders"}, headers=shown)
    assert own.status == 204
    await service.receipts.flush_once()
    assert await list_followers(database) == []


async def test_followers_are_listed_page_by_page_even_if_one_is_gone_meanwhile(admin, connection):
    for key_id, name in (("", "a"), ("", "b"), ("key_1", "z"), ("key_2", "y"), ("key_2", "x")):
        await connection.execute(
            "insert into follower (key_id, name, seq, tag, seen_at)"
            " values ($1, $2, 0, '', clock_timestamp())",
            key_id,
            name,
        )
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await admin(f"GET /v1/followers?limit=2{cursor and '&cursor=' + cursor}")).body
        assert page["unproved"] == 2
        names += [follower["name"] for follower in page["items"]]
        await connection.execute("delete from follower where key_id = 'key_2' and name = 'x'")
        cursor = page["next_cursor"]
    assert names == ["key_1/z", "key_2/x", "key_2/y", "a", "b"]


async def _has_no_follower(database):
    return await list_followers(database) == []
