from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from testbed.waiting import PATIENCE, until
from tests import endings
from tests.integration.things import ACTOR, make_key, read_header, read_payload
from tests.web.asking import get_token

from tokensvc.issuer.cleaning import clean_denylist_once
from tokensvc.store.denylist import append_revocation

BEFORE_ITS_END = 25  # seconds: earlier than a poll that waits for thirty ends by itself


async def fetch(client, **query):
    """Return the text and the payload of a page."""
    answer = await client.get("/v1/denylist", params=query)
    assert answer.status == 200, await answer.text()
    assert (answer.content_type, answer.headers["Cache-Control"]) == (
        "application/denylist+jwt",
        "no-store",
    )
    text = await answer.text()
    return text, read_payload(text)


async def revoke(client, key, token=None):
    """Revoke a token, a fresh one by default; return its id."""
    if token is None:
        token = (await get_token(client, key))["access_token"]
    assert (await client.post("/v1/revoke", data={"token": token})).status == 200
    return read_payload(token)["jti"]


async def fetch_after(client, cursor, *, count):
    """Return the page after `cursor` as soon as it holds `count` entries."""
    async with asyncio.timeout(PATIENCE):
        while True:
            _, page = await fetch(client, after=cursor, wait="1")
            if len(page["entries"]) >= count:
                return page


async def test_without_a_cursor_the_page_is_a_snapshot_of_what_is_in_force(
    client, key, database, settings, service
):
    account = (await make_key(database)).listed.record
    jti = await revoke(client, key)
    await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    await endings.suspend_account(database, account.account_id, actor=ACTOR)
    await service.mirror.refresh_once()
    text, page = await fetch(client)
    assert read_header(text) == {
        "typ": "denylist+jwt",
        "alg": "ES256",
        "kid": read_header(text)["kid"],
    }
    members = {"iss", "aud", "iat", "exp", "cursor", "head", "after", "full", "entries", "audit"}
    assert set(page) == members, "never sub"
    assert page["aud"] == "tokensvc:denylist"
    assert page["head"] == page["cursor"]
    assert (page["iss"], page["after"], page["full"]) == (settings.issuer_url, None, True)
    assert page["exp"] == page["iat"] + 60
    assert page["iat"] <= time.time()
    assert page["cursor"].startswith("3-")
    token, key_mark, account_mark = page["entries"]
    assert token == {"jti": jti, "exp": token["exp"]}
    assert key_mark == {
        "key": key.listed.record.id,
        "exp": key_mark["upto"] + 3600 + 120,  # tokens for the service itself live longest
        "upto": key_mark["upto"],
    }
    assert account_mark == {
        "account": account.account_id,
        "exp": account_mark["exp"],
        "upto": account_mark["upto"],
    }


async def test_after_a_cursor_the_page_holds_only_what_is_new(client, key):
    first = await revoke(client, key)
    page = await fetch_after(client, "0-none", count=1)
    assert (page["full"], [entry["jti"] for entry in page["entries"]]) == (True, [first])
    second, third = await revoke(client, key), await revoke(client, key)
    delta = await fetch_after(client, page["cursor"], count=2)
    assert (delta["full"], delta["after"]) == (False, page["cursor"])
    assert [entry["jti"] for entry in delta["entries"]] == [second, third]
    _, empty = await fetch(client, after=delta["cursor"])
    assert (empty["full"], empty["after"], empty["cursor"], empty["entries"]) == (
        False,
        delta["cursor"],
        delta["cursor"],
        [],
    )


@pytest.mark.parametrize("round_", range(3))
async def test_a_long_poll_wakes_when_something_is_revoked(round_, client, key):
    jti = await revoke(client, key)
    page = await fetch_after(client, "0-none", count=1)
    poll = asyncio.create_task(fetch(client, after=page["cursor"], wait="30"))
    await asyncio.sleep(0.05 * round_)
    news = await revoke(client, key)
    _, delta = await asyncio.wait_for(poll, BEFORE_ITS_END)
    assert [entry["jti"] for entry in delta["entries"]] == [news] != [jti]


async def test_a_long_poll_without_news_ends_with_a_fresh_empty_page(client, key):
    await revoke(client, key)
    page = await fetch_after(client, "0-none", count=1)
    started = time.monotonic()
    _, empty = await fetch(client, after=page["cursor"], wait="1")
    assert time.monotonic() - started > 0.9
    assert (empty["entries"], empty["cursor"], empty["full"]) == ([], page["cursor"], False)
    assert empty["iat"] >= page["iat"]


async def test_a_poll_that_has_news_or_no_cursor_does_not_wait(client, key, service):
    await revoke(client, key)
    await service.mirror.refresh_once()
    async with asyncio.timeout(BEFORE_ITS_END):
        for query in ({}, {"after": "0-none"}, {"after": "99-none"}):
            await fetch(client, wait="30", **query)


async def test_who_stands_where_we_never_were_gets_everything(client, key, service):
    jtis = [await revoke(client, key) for _ in range(3)]
    await service.mirror.refresh_once()
    _, page = await fetch(client)
    seq = int(page["cursor"].partition("-")[0])
    assert seq == 3
    for cursor in ("0-never", "2-wrong", "3-wrong", "4-beyond", "999999999-beyond"):
        _, full = await fetch(client, after=cursor)
        assert (full["full"], full["after"], full["cursor"]) == (True, None, page["cursor"])
        assert [entry["jti"] for entry in full["entries"]] == jtis


BAD_CURSORS = [
    "",
    "x",
    "1",
    "1-",
    "-1-abc",
    "01-abc",
    "1-ä",
    "1-" + "a" * 33,
    "1" * 19 + "-abc",
    "1-abc\n",
    "1-abc,2-abc",
    "1 -abc",
]
BAD_WAITS = ["", "x", "-1", "31", "100", "1.5", "٣", "1s"]


async def test_t31_a_cursor_or_wait_that_is_none_is_a_problem_document(client, subtests):
    queries = [{"after": cursor} for cursor in BAD_CURSORS] + [{"wait": wait} for wait in BAD_WAITS]
    for query in queries:
        with subtests.test(msg=str(query)):
            answer = await client.get(
                "/v1/denylist", params=query, headers={"X-Request-Id": "bad-query"}
            )
            assert (answer.status, answer.content_type) == (400, "application/problem+json")
            problem = await answer.json()
            detail = problem.pop("detail")
            assert detail.startswith(
                "after must be a cursor"
                if "after" in query
                else "wait must be a whole number of seconds, 30"
            )
            assert problem == {
                "type": "urn:tokensvc:problem:invalid_request",
                "title": "The request is malformed",
                "status": 400,
                "code": "invalid_request",
                "request_id": "bad-query",
            }


async def test_a_page_is_signed_once_for_all_who_ask_for_it_at_once(client, key, service):
    await revoke(client, key)
    await service.mirror.refresh_once()
    invented = [f"{number}-none" for number in range(5)]
    asked: list[dict[str, str]] = [{}] * 20 + [{"after": cursor} for cursor in invented]
    texts: set[str] = set()
    # A page is shared for a moment, in which a busy machine may not get through with all of them.
    async with asyncio.timeout(60):
        while len(texts) != 1:
            answers = await asyncio.gather(*(fetch(client, **query) for query in asked))
            texts = {text for text, _ in answers}


async def test_all_waiting_followers_get_one_page(client, key, service):
    await revoke(client, key)
    await service.mirror.refresh_once()
    _, page = await fetch(client)
    polls = [asyncio.create_task(fetch(client, after=page["cursor"], wait="20")) for _ in range(30)]
    await asyncio.sleep(0)
    await revoke(client, key)
    pages = await asyncio.gather(*polls)
    assert len({text for text, _ in pages}) == 1
    assert {len(payload["entries"]) for _, payload in pages} == {1}


async def test_draining_answers_the_long_polls_at_once(client, key, service):
    await revoke(client, key)
    await service.mirror.refresh_once()
    _, page = await fetch(client)
    poll = asyncio.create_task(fetch(client, after=page["cursor"], wait="30"))
    await until(lambda: service.mirror.denylist.waiting)
    service.drain()
    _, empty = await asyncio.wait_for(poll, BEFORE_ITS_END)
    assert empty["entries"] == []
    async with asyncio.timeout(BEFORE_ITS_END):
        await fetch(client, after=page["cursor"], wait="30")


async def test_a_restored_backup_is_answered_with_a_snapshot(client, key, service, connection):
    """Rows are lost and their numbers given out again: the tag tells."""
    await revoke(client, key)
    lost = await revoke(client, key)
    token = (await get_token(client, key))["access_token"]
    await service.mirror.refresh_once()
    _, page = await fetch(client)
    async with connection.transaction():
        await connection.execute("delete from denylist where seq = 2")
        await connection.execute(
            "update feed_head set seq = 1, tag = (select tag from denylist where seq = 1) "
            "where topic = 'denylist'"
        )
    again = await revoke(client, key, token)
    await service.mirror.refresh_once()
    _, full = await fetch(client, after=page["cursor"])
    assert (full["full"], full["cursor"].partition("-")[0]) == (True, "3"), (
        "what was lost has been written again"
    )
    assert full["cursor"] != page["cursor"]
    assert {lost, again} < {entry.get("jti") for entry in full["entries"]}


async def test_expired_entries_are_in_no_page(client, key, service, connection, database):
    now = await connection.fetchval("select clock_timestamp()")
    await append_revocation(
        connection,
        "token_revoked",
        "short",
        watermark=None,
        expires_at=now + timedelta(seconds=1),
    )
    await service.mirror.refresh_once()
    await asyncio.sleep(1.1)
    await service.mirror.refresh_once()
    assert (await fetch(client))[1]["entries"] == []
    assert await clean_denylist_once(database, service.mirror.postgres_clock.now) == 1
    jti = await revoke(client, key)
    await service.mirror.refresh_once()
    assert [entry["jti"] for entry in (await fetch(client))[1]["entries"]] == [jti]
