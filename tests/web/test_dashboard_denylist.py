"""The denylist and the health in the dashboard."""

from __future__ import annotations

import asyncio
import re
import time

from pydantic import SecretStr
from testbed.ports import find_free_port
from tests.integration.things import make_key
from tests.web.browsing import open_browser

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.follower import FollowerId
from tokensvc.web.app_keys import POLLS


async def test_entries_followers_and_a_revocation_by_hand(admin, database, browser, service):
    empty = await browser.get("/denylist")
    assert "Nobody follows the denylist" in empty.words
    assert "No entry here" in empty.words
    asked = await browser.get("/denylist/revoke")
    nothing = await browser.post("/denylist/revoke", {"what": "key", "value": ""}, seen=asked)
    assert nothing.status == 400
    assert 'id="value-error"' in nothing.text
    wrong = await browser.post(
        "/denylist/revoke", {"what": "key", "value": 'x"<b>', "reason": "kept"}, seen=asked
    )
    assert wrong.status in {400, 422}
    assert 'id="key-error"' in wrong.text
    assert 'value="x&#34;&lt;b&gt;"' in wrong.text
    assert 'value="kept"' in wrong.text
    key = (await make_key(database)).listed.record.id
    typed = {"what": "key", "value": key, "reason": '"<script>\u202e' + "W" * 200}
    assert (await browser.post("/denylist/revoke", typed, seen=wrong)).status == 303
    page = await browser.get("/denylist")
    assert key in page.text
    assert "<script>\u202e" not in page.text
    assert "Tokens of a key" in page.words
    assert key in (await browser.get(f"/denylist?kind=key&value={key}")).text
    assert "Nothing fits this search" in (await browser.get("/denylist?kind=jti")).words
    cursor = (await admin("GET /v1/revocations/watch")).body["cursor"]
    service.receipts.note(FollowerId(key, "orders-1"), parse_cursor(cursor))
    await service.receipts.flush_once()
    page = await browser.get("/denylist")
    assert "orders-1" in page.words
    assert "Nobody is behind" in (await browser.get("/denylist?followers=behind")).words or (
        "Catching up" in page.words
    )


async def test_a_held_request_is_answered_when_something_is_revoked(admin, browser):
    page = await browser.get("/denylist")
    seen = re.findall(r"\?seen=(\w+)", page.text)[0]
    held = asyncio.create_task(browser.get(f"/denylist?seen={seen}", HX_Request="true"))
    await asyncio.sleep(0.2)
    assert not held.done()
    await admin("POST /v1/revocations", {"jti": "0" * 20, "exp_in": 60})
    answer = await asyncio.wait_for(held, 5)
    assert answer.text.lstrip().startswith('<div class="stack live" id="live-followers"')
    assert "Entries 1 1 token" in answer.words
    assert "<html" not in answer.text


async def test_a_page_that_may_not_be_held_does_not_ask_without_a_pause_either(client, browser):
    client.app[POLLS]._most = 0
    seen = re.findall(r"\?seen=(\w+)", (await browser.get("/denylist")).text)[0]
    began_on = time.monotonic()
    await browser.get(f"/denylist?seen={seen}", HX_Request="true")
    assert time.monotonic() - began_on > 0.4


async def test_health_is_shown_to_readers(client, database):
    reader = await open_browser(client, await make_key(database, capabilities=("tokensvc:read",)))
    page = await reader.get("/health")
    assert page.status == 200
    assert "Up to date" in page.words
    assert "Postgres judges requests in time Holds" in page.words
    everything = await reader.get("/health?settings=all")
    assert "TOKENSVC_ROTATION_PERIOD" in everything.words
    assert "TOKENSVC_MASTER_KEY not set" in everything.words or "not shown" in everything.words


async def test_faults_of_the_set_up_are_shown_to_readers_with_what_mends_them(client, database):
    reader = await open_browser(client, await make_key(database, capabilities=("tokensvc:read",)))
    assert "Look for faults" in (await reader.get("/health")).words
    page = await reader.get("/health/doctor")
    assert page.status == 200
    assert "No fault was found" in page.words
    async with database.connection() as connection:
        await connection.execute(
            "update schema_migrations set checksum = '<b>' where version = '0002'"
        )
    page = await reader.get("/health/doctor")
    assert "1 fault. Each says what mends it" in page.words
    assert "restore the released files" in page.words


async def test_health_says_where_each_setting_comes_from(
    client, started, database, new_client, settings, tmp_path
):
    del client, started
    url = tmp_path / "smtp"
    url.write_text("smtps://u:hunter2@mail.example")
    sources = {"token_ttl": "environment", "smtp_url": str(url)}
    more = {"smtp_url": SecretStr(url.read_text()), "sources": {**settings.sources, **sources}}
    told = settings.model_copy(update={**more, "port": find_free_port()})
    key = await make_key(database, capabilities=("tokensvc:read",))
    page = await (await open_browser(await new_client(told), key)).get("/health?settings=all")
    assert f"TOKENSVC_SMTP_URL set, not shown {url}" in page.words
    assert "hunter2" not in page.text
    assert f"TOKENSVC_TOKEN_TTL {settings.token_ttl} environment" in page.words
    assert f"TOKENSVC_MAX_TOKEN_TTL {settings.max_token_ttl} default" in page.words
