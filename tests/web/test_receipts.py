"""Receipts over HTTP: our verifier names itself, operators see its position, `--wait` waits."""

from __future__ import annotations

import asyncio

import pytest
from testbed.waiting import until
from tests.integration.things import ACTOR

from tokensvc.issuer.admin import accounts
from tokensvc.issuer.revoking import watermarks
from tokensvc.issuer.revoking.receipts import list_followers
from tokensvc.verify import Verifier


@pytest.mark.parametrize(
    ("given", "shown"), [(None, "api@"), ("orders-1", "orders-1")], ids=["by itself", "named"]
)
async def test_a_verifier_names_itself_and_its_next_question_is_its_receipt(
    given, shown, client, service, database, settings
):
    del client
    async with Verifier(issuer=settings.issuer_url, audience="api", follower=given) as verifier:
        await until(lambda: _seqs(database), 5)
        account = await accounts.create_account(database, "Orders", actor=ACTOR)
        await watermarks.suspend_account(database, account.id, actor=ACTOR)
        assert await until(lambda: _is_current(database, 1), 5) < 2
        (follower,) = await list_followers(database)
        assert follower.name.startswith(shown)
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
