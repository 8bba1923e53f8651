"""Notices in the dashboard: a receiver is made, changed, tested and removed; its secret once."""

from __future__ import annotations

import re

from testbed.waiting import until
from tests.integration.things import make_key
from tests.web.browsing import open_browser

from tokensvc.core.notices.event import NewNotice
from tokensvc.store.notice_event import append_notices

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
NEW = {"url": "https://hooks.example/x", "account": "", "description": '<b>"x"', "events": ""}


async def make(browser, **more):
    page = await browser.get("/notices/new")
    named = re.findall(r'name="idempotency_key" value="([^"]+)"', page.text)[0]
    fields = {**NEW, "idempotency_key": named, **more}
    return await browser.post("/notices/new", fields, seen=page)


async def test_a_receiver_is_made_changed_tested_and_removed(admin, browser, account):
    del account
    assert "Nobody is told of anything" in (await browser.get("/notices")).words
    made = await make(browser)
    assert len(set(SECRET.findall(made.text))) == 1
    hook = re.findall(r"/notices/(hook_\w+)", made.text)[0]
    page = await browser.get(f"/notices/{hook}")
    assert not SECRET.search(page.text)
    assert "<b>" not in page.text
    fields = [("url", NEW["url"]), ("description", "y"), ("events", ""), ("events", "key.leaked")]
    saved = await browser.post(f"/notices/{hook}/edit", fields, seen=page)
    assert saved.place == f"/dashboard/notices/{hook}?said=changed"
    shown = (await admin(f"GET /v1/notice-endpoints/{hook}")).body
    assert (shown["events"], shown["description"]) == (["key.leaked"], "y")
    assert (await browser.post(f"/notices/{hook}/test", seen=page)).place.endswith("said=tested")
    page = await browser.get(f"/notices/{hook}?said=tested")
    assert "notice.test" in page.words
    assert "notice.test" in (await browser.get("/notices/deliveries")).words
    assert "No delivery here" in (await browser.get("/notices/deliveries?state=failed")).words
    rotated = await browser.post(f"/notices/{hook}/rotate", {"grace": "86400"}, seen=page)
    assert set(SECRET.findall(rotated.text)) != set(SECRET.findall(made.text))
    for on, state in (("", "disabled"), ("on", "active")):
        await browser.post(f"/notices/{hook}/switch", {"enabled": on}, seen=page)
        assert (await admin(f"GET /v1/notice-endpoints/{hook}")).body["state"] == state
    asked = await browser.get(f"/notices/{hook}/delete")
    assert (await browser.post(f"/notices/{hook}/delete", seen=asked)).status == 303
    assert (await browser.get(f"/notices/{hook}")).status == 404


async def test_the_receivers_of_one_account_are_listed_and_a_new_one_is_for_it(
    admin, browser, account
):
    await admin("POST /v1/notice-endpoints", {"url": "https://all.example/x"})
    assert "Nobody is told of it" in (await browser.get(f"/notices?account={account}")).words
    await admin("POST /v1/notice-endpoints", {"url": "https://one.example/x", "account": account})
    assert f"/notices?account={account}" in (await browser.get(f"/accounts/{account}")).text
    page = await browser.get(f"/notices?account={account}")
    assert "https://one.example/x" in page.words
    assert "https://all.example/x" not in page.words
    assert f"/notices/new?account={account}" in page.text


async def test_a_delivery_is_sent_again_and_events_are_listed(admin, browser, account):
    made = (await admin("POST /v1/notice-endpoints", {"url": "https://hooks.example/y"})).body
    key = {"account": account, "name": "ci", "capabilities": ["orders:read"]}
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    await admin("POST /v1/keys", key)
    form = re.compile(r'action="/dashboard(/notices/deliveries/\d+/redeliver)"')
    place = f"/notices/deliveries?endpoint={made['id']}&event=key.created"

    async def is_listed():
        return form.search((await browser.get(place)).text)

    await until(is_listed)  # the event is noticed a moment after the act
    page = await browser.get(place)
    assert "key.created" in page.words
    path = form.findall(page.text)[0]
    again = await browser.post(path, seen=page)
    assert again.status in {303, 409}, again.words
    events = await browser.get("/notices/events?event=key.created")
    assert "key.created" in events.words
    assert "No event here" in (await browser.get("/notices/events?subject=absent")).words


async def test_a_follower_that_lags_is_named_without_the_id_of_its_key(browser, database, account):
    subject = "key_0000000000000007/search-1"
    lagging = NewNotice(
        name="follower.lagging", subject=subject, account_id=account, detail={"lag_seconds": 20}
    )
    async with database.transaction() as connection:
        await append_notices(connection, [lagging])
    events = await browser.get("/notices/events")
    assert events.status == 200
    assert f'title="{subject}">search-1<' in events.text


async def test_what_is_refused_stands_at_its_field_and_owners_see_their_own_alone(
    client, database, browser, admin
):
    refused = await make(browser, url="http://10.0.0.1/", description="kept")
    assert refused.status == 400
    assert 'value="kept"' in refused.text
    assert 'id="url-error"' in refused.text
    hook = (await admin("POST /v1/notice-endpoints", {"url": "https://hooks.example/z"})).body["id"]
    owner = await open_browser(client, await make_key(database, capabilities=("tokensvc:keys",)))
    assert "hooks.example" not in (await owner.get("/notices")).text
    for path in ("", "/delete"):
        assert (await owner.get(f"/notices/{hook}{path}")).status == 404
    assert "signing_key.rotated" not in (await owner.get("/notices/new")).text
    reader = await open_browser(client, await make_key(database, capabilities=("tokensvc:read",)))
    shown = await reader.get(f"/notices/{hook}")
    assert (shown.status, "Rotate the secret" in shown.words) == (200, False)
    assert (await reader.get("/notices/new")).status == 403
