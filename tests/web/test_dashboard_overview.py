"""The overview: the way to the first token, and later what is going on."""

from __future__ import annotations

import asyncio
import html
import re
import time
from datetime import timedelta

from tests.integration.things import make_key
from tests.web.asking import try_token
from tests.web.browsing import open_browser

from tokensvc.core.usage import LastUse
from tokensvc.store.usage import set_last_use


async def test_a_new_service_shows_the_way_to_the_first_token(client, started, service):
    browser = await open_browser(client, started.admin)
    await service.exchange.usage.flush_once()
    page = await browser.get("/")
    assert page.status == 200
    assert "Three steps lead to the first verified token" in page.words
    assert "Issued 1 Refused 0" in page.words, "the sign-in was an exchange"
    assert page.text.count('class="plot"') == 1, "there is no refusal to draw"
    assert "tsk-" not in page.text


async def test_later_it_shows_exchanges_refusals_keys_and_changes(client, database, service):
    reader = await make_key(database, capabilities=("tokensvc:read", "orders:read"))
    for scope, status in (("orders:read", 200), ("orders:write", 400)):
        assert (await try_token(client, reader, {"scope": scope}.items())).status == status
    await service.exchange.usage.flush_once()
    browser = await open_browser(client, reader)
    for query in ("", "?range=7d", "?range=30d", "?range=nonsense"):
        page = await browser.get(f"/{query}")
        assert page.status == 200
        assert "Issued 1 Refused 1 Over a limit 0" in page.words
        assert "Scope refused 1" in page.words
        assert page.text.count('class="plot"') == 2
        assert "Signing key age" in page.words
        assert "ES256, next rotation" in page.words
        assert "signed in to the dashboard with" in page.words


async def test_the_sidebar_says_how_many_there_are_and_tells_an_owner_of_its_own(client, database):
    owner = await make_key(database, capabilities=("tokensvc:keys",))
    reader = await make_key(database, capabilities=("tokensvc:read",))
    words = (await (await open_browser(client, reader)).get("/health")).words
    # The key and the account of the first start, and those of two callers.
    assert "Keys 3 Accounts 3 Capabilities 5 Audiences 3 Trust" in words
    assert "Denylist 0 Token decoder" in words
    words = (await (await open_browser(client, owner)).get("/keys")).words
    assert "Keys 1 Accounts Capabilities Audiences" in words


async def test_each_number_of_keys_worth_a_look_leads_to_as_many_keys(
    client, database, admin, subtests
):
    reader = await make_key(database, capabilities=("tokensvc:read",), life=timedelta(days=99))
    old, unused, used = [await make_key(database, name=name) for name in ("old", "two", "three")]
    for each in (unused, used):
        wish = {"grace": 40 * 86_400}
        assert (await admin(f"POST /v1/keys/{each.listed.record.id}/rotate", wish)).status == 201
    async with database.transaction() as connection:
        await connection.execute(
            "update api_key set created_at = created_at - interval '91 days' where id = $1",
            old.listed.record.id,
        )
        await set_last_use(
            connection,
            [(used.listed.record.id, LastUse(int(time.time()), "192.0.2.0/24", "api"))],
        )
    browser = await open_browser(client, reader)
    cards = re.findall(
        r'<a class="card" href="/dashboard(/keys[^"]+)"><b>(\d+)</b><span>([^<]+)',
        (await browser.get("/")).text,
    )
    found = {}
    for address, number, name in cards:
        with subtests.test(msg=name):
            listed = await browser.get(html.unescape(address))
            assert listed.text.count('<th scope="row" class="names">') == int(number)
            found[name] = int(number)
    # All keys but the reader's and the two that were rotated; those of the start are among them.
    assert found == {
        "never expire": 5,
        "idle for 90 days": 1,
        "hold everything": 2,
        "safe to remove": 1,
    }
    shown = await browser.get(html.unescape(cards[-1][0]))
    assert re.search(r'aria-current="page">Safe to remove', shown.text)
    assert unused.listed.record.id in shown.text


async def test_a_key_owner_sees_neither_followers_nor_the_audit(client, database):
    owner = await make_key(database, capabilities=("tokensvc:keys", "orders:read"))
    await make_key(database, account=owner.listed.record.account_id)
    page = await (await open_browser(client, owner)).get("/")
    assert page.status == 200
    assert "of your account" in page.words
    for hidden in ("Followers", "Signing key", "Last changes"):
        assert hidden not in page.words


async def test_the_figures_are_sent_alone_when_they_have_changed(client, database):
    reader = await make_key(database, capabilities=("tokensvc:read",))
    browser = await open_browser(client, reader)
    part = await browser.get("/?range=24h", HX_Request="true")
    assert part.status == 200
    assert part.text.startswith("<dl")
    assert "seen=nothing" not in part.text


async def test_a_part_that_waits_for_news_is_answered_when_the_service_leaves(
    client, database, service
):
    reader = await make_key(database, capabilities=("tokensvc:read",))
    browser = await open_browser(client, reader)
    seen = re.findall(r"seen=(\w+)", (await browser.get("/", HX_Request="true")).text)[0]
    began_on = time.monotonic()
    waiting = asyncio.create_task(browser.get(f"/?seen={seen}", HX_Request="true"))
    await asyncio.sleep(1)
    assert not waiting.done(), "nothing has changed"
    service.drain()
    assert (await waiting).status == 200
    assert time.monotonic() - began_on < 3
