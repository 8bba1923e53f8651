"""The pages of capabilities, audiences and tiers: add, change, remove, and where each is used."""

from __future__ import annotations

import html
import re

from tests.integration.things import make_key
from tests.web.asking import try_token
from tests.web.browsing import open_browser

URL = "https://orders.example/a?b=c&d#e%2F"


def find_link(page, word, name):
    """Return the address that a link of a row leads to."""
    for address, label in re.findall(r'<a[^>]*href="/dashboard([^"]*)"[^>]*>(.*?)</a>', page.text):
        if " ".join(re.sub(r"<[^>]+>", "", html.unescape(label)).split()) == f"{word} {name}":
            return html.unescape(address)
    raise AssertionError(f"no link says {word} {name}")


async def test_a_capability_is_added_described_and_removed_once_no_key_holds_it(
    database, admin, browser
):
    page = await browser.get("/capabilities/new")
    refused = await browser.post("/capabilities/new", {"name": "no good"}, seen=page)
    assert refused.status == 400
    assert 'id="name-error" role="alert"' in refused.text
    fields = {"name": "stock:read", "description": "<b>look</b>"}
    assert (await browser.post("/capabilities/new", fields, seen=page)).status == 303
    assert (await browser.post("/capabilities/new", fields, seen=page)).status == 409
    key = await make_key(database, capabilities=("stock:read",), name="counter")
    listed = await browser.get("/capabilities?name=STOCK")
    assert "stock:read <b>look</b> 1 key" in listed.words
    page = await browser.get(find_link(listed, "Edit", "stock:read"))
    fields = {"name": "stock:read", "description": "Read the stock"}
    await browser.post("/capabilities/edit", fields, seen=page)
    shown = (await admin("GET /v1/capabilities/stock:read")).body
    assert shown["description"] == "Read the stock"
    event = (await admin("GET /v1/audit-events?subject=stock:read")).body["items"][0]
    assert event["detail"]["before"] == {"description": "<b>look</b>"}
    removing = find_link(listed, "Remove", "stock:read")
    page = await browser.get(removing)
    assert "One key holds it. Take it from them first" in page.words
    assert "counter" in page.words
    await admin(f"POST /v1/keys/{key.listed.record.id}/revoke", {})
    page = await browser.get(removing)
    await browser.post("/capabilities/remove", {"name": "stock:read"}, seen=page)
    assert (await admin("GET /v1/capabilities/stock:read")).status == 404
    assert (await browser.get(removing)).status == 404


async def test_an_audience_whose_name_is_an_address_is_added_changed_and_removed(
    client, database, service, admin, browser
):
    page = await browser.get("/audiences/new")
    fields = {"name": URL, "description": "", "token_ttl": "99999999", "alg": "RS256"}
    fields["typ"] = "JWT"
    refused = await browser.post("/audiences/new", fields, seen=page)
    assert refused.status == 400
    assert 'value="RS256" checked' in refused.text
    assert 'value="JWT" checked' in refused.text
    fields["token_ttl"] = "120"
    assert (await browser.post("/audiences/new", fields, seen=page)).status == 303
    key = await make_key(database, capabilities=("orders:read",), audiences=(URL,), name="shop")
    assert (await try_token(client, key, {"audience": URL}.items())).status == 200
    await service.exchange.usage.flush_once()
    listed = await browser.get("/audiences?name=orders.example")
    assert f"{URL} 2 min RS256 JWT 1 key" in listed.words
    page = await browser.get(find_link(listed, "Edit", URL))
    fields = {"name": URL, "description": "d", "token_ttl": "", "alg": "ES256", "typ": "at+jwt"}
    await browser.post("/audiences/edit", fields, seen=page)
    items = (await admin("GET /v1/audiences?with_use=true&name=orders.example")).body["items"]
    assert (items[0]["token_ttl"], items[0]["alg"], items[0]["keys"]) == (None, "ES256", 1)
    assert items[0]["last_used_at"] is not None
    page = await browser.get(find_link(listed, "Remove", URL))
    assert "Programs that ask for it get none any more. 1 key names it" in page.words
    done = await browser.post("/audiences/remove", {"name": URL}, seen=page)
    assert done.place == "/dashboard/audiences?said=removed"
    own = await browser.get("/audiences/remove?name=tokensvc")
    assert "it cannot be removed" in own.words


async def test_a_tier_is_added_changed_and_removed_once_nobody_has_it(admin, account, browser):
    page = await browser.get("/accounts/tiers/new")
    fields = {
        "name": "pro",
        "description": "",
        "key_per_minute": "6",
        "key_per_day": "60",
        "account_per_minute": "",
        "account_per_day": "",
    }
    assert (await browser.post("/accounts/tiers/new", fields, seen=page)).status == 303
    await admin(f"PATCH /v1/accounts/{account}", {"tier": "pro"})
    listed = await browser.get("/accounts/tiers")
    assert "pro 6 60 60 600 1 account" in listed.words
    editing = find_link(listed, "Edit", "pro")
    page = await browser.get(editing)
    assert "1 account has it. Give it another one first." in page.words
    changes = {**fields, "account_per_minute": "50", "account_per_day": "0"}
    refused = await browser.post("/accounts/tiers/edit", changes, seen=page)
    assert refused.status == 400
    assert 'id="account_per_day-error" role="alert"' in refused.text
    changes["account_per_day"] = "500"
    await browser.post("/accounts/tiers/edit", changes, seen=page)
    assert (await admin("GET /v1/tiers/pro")).body["account_per_minute"] == 50
    await admin(f"PATCH /v1/accounts/{account}", {"tier": None})
    page = await browser.get(editing)
    done = await browser.post("/accounts/tiers/remove", {"name": "pro"}, seen=page)
    assert done.place == "/dashboard/accounts/tiers?said=removed"
    assert (await admin("GET /v1/tiers/pro")).status == 404


async def test_readers_change_nothing_and_owners_see_what_their_key_holds(
    client, database, admin, subtests
):
    await admin("POST /v1/audiences", {"name": "elsewhere"})
    other = await make_key(database, capabilities=("orders:read", "stock:read"))
    del other
    owner = await make_key(
        database,
        capabilities=("tokensvc:keys", "orders:read"),
        audiences=("tokensvc:dashboard", "tokensvc"),
    )
    reader = await make_key(database, capabilities=("tokensvc:read",))
    of_owner = await open_browser(client, owner)
    listed = await of_owner.get("/capabilities")
    assert "orders:read Nobody has said yet 1 key" in listed.words
    assert "stock:read" not in listed.words
    assert "elsewhere" not in (await of_owner.get("/audiences")).words
    assert (await of_owner.get("/accounts/tiers")).status == 403
    of_reader = await open_browser(client, reader)
    for path in ("/capabilities", "/audiences", "/accounts/tiers"):
        with subtests.test(msg=path):
            shown = await of_reader.get(path)
            assert shown.status == 200
            assert "Edit" not in shown.words
            for page in ("/new", "/edit?name=default"):
                assert (await of_reader.get(f"{path}{page}")).status == 403
