"""Two people have the same form open: the second is told, and loses nothing of what is typed."""

from __future__ import annotations

import pytest
from tests.integration.things import make_key
from tests.web.browsing import open_browser


@pytest.fixture
async def things(admin, account):
    """Make one of each thing that has a form to change it: path of the page, action, fields."""
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    await admin("POST /v1/audiences", {"name": "orders"})
    await admin("POST /v1/tiers", {"name": "pro", "key_per_minute": 7, "key_per_day": 70})
    wish = {"account": account, "name": "ci", "capabilities": ["orders:read"]}
    key = (await admin("POST /v1/keys", wish)).body["id"]
    hook = (await admin("POST /v1/notice-endpoints", {"url": "https://hooks.example/x"})).body["id"]
    limits = {"account_per_minute": "9", "account_per_day": "9", "key_per_minute": "9"}
    return {
        f"/keys/{key}/edit": {"name": "ci", "expires_in": "keep"},
        f"/accounts/{account}/edit": {"name": "Acme"},
        "/capabilities/edit?name=orders:read": {"name": "orders:read"},
        "/audiences/edit?name=orders": {"name": "orders"},
        "/accounts/tiers/edit?name=pro": {"name": "pro", **limits, "key_per_day": "9"},
        f"/notices/{hook}": {"url": "https://hooks.example/x", "events": ""},
    }


async def test_a_form_that_is_stale_is_told_so_and_keeps_what_was_typed(
    client, database, things, subtests
):
    browser = await open_browser(client, await make_key(database, capabilities=("tokensvc:admin",)))
    for address, fields in things.items():
        place = address.partition("?")[0]
        action = place if place.endswith("/edit") else f"{place}/edit"
        field = "name" if "/accounts/acct" in place else "description"
        with subtests.test(msg=place):
            page = await browser.get(address)
            theirs = {**fields, field: 'of <b>them</b> "now"'}
            mine = {**fields, field: "of mine"}
            assert (await browser.post(action, theirs, seen=page)).status == 303
            stale = await browser.post(action, mine, seen=page)
            assert stale.status == 412
            assert "Somebody has changed this since you opened it" in stale.words
            assert f'Now it says: {field} of <b>them</b> "now"' in stale.words
            assert 'value="of mine"' in stale.text
            assert "<b>them" not in stale.text
            assert (await browser.post(action, mine, seen=stale)).status == 303
            assert 'value="of mine"' in (await browser.get(address)).text
