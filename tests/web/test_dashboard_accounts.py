"""The pages of accounts: the list, one account, making and changing one, ending one."""

from __future__ import annotations

import re

import pytest
from tests.integration.things import make_key
from tests.web.asking import try_token
from tests.web.browsing import open_browser

EMPTY = {"tier": "default", "per_minute": "", "per_day": ""}


@pytest.fixture
def settings(settings):
    return settings.model_validate(
        settings.model_dump()
        | {"smtp_url": "smtp://127.0.0.1:9", "smtp_from": "tokens@example.com"}
    )


def list_names(page):
    return re.findall(r'<th scope="row" class="names"><a [^>]*>([^<]*)</a>', page.text)


async def test_accounts_are_searched_filtered_and_paged_by_the_address(admin, browser, subtests):
    for number in range(27):
        await admin("POST /v1/accounts", {"name": f"team-{number:02}"})
    off = (await admin("POST /v1/accounts", {"name": "closed"})).body["id"]
    await admin(f"POST /v1/accounts/{off}/suspend", {})
    for query, found in (
        ("?name=team-0&sort=name", [f"team-{n:02}" for n in range(10)]),
        ("?name=team-0", [f"team-{n:02}" for n in range(9, -1, -1)]),
        ("?state=suspended", ["closed"]),
        ("?name=nobody", []),
    ):
        with subtests.test(msg=query):
            assert list_names(await browser.get(f"/accounts{query}")) == found
    first = await browser.get("/accounts?name=team&sort=name")
    following = re.findall(r'href="/dashboard(/accounts\?[^"]*cursor=[^"]+)"', first.text)
    second = await browser.get(following[0].replace("&amp;", "&"))
    assert list_names(first) + list_names(second) == [f"team-{n:02}" for n in range(27)]
    assert "No account fits this search" in (await browser.get("/accounts?name=nobody")).words
    rows = await browser.get("/accounts", HX_Request="true")
    assert rows.text.lstrip().startswith("<table")


async def test_an_account_is_made_once_and_changed(admin, browser):
    await admin("POST /v1/tiers", {"name": "pro", "key_per_minute": 7, "key_per_day": 70})
    page = await browser.get("/accounts/new")
    named = re.findall(r'name="idempotency_key" value="([^"]+)"', page.text)[0]
    fields = {**EMPTY, "name": "Acme", "per_day": "9", "idempotency_key": named}
    made = [await browser.post("/accounts/new", fields, seen=page) for _ in range(2)]
    assert made[0].status == 303
    assert made[0].place == made[1].place
    path = made[0].place.removeprefix("/dashboard").partition("?")[0]
    shown = await browser.get(f"{path}?said=made")
    assert "The account was made. Make its first key" in shown.words
    assert "0 of 9" in shown.words
    page = await browser.get(f"{path}/edit")
    changes = {"name": "Acme Shop", "tier": "pro", "per_minute": "5", "per_day": ""}
    await browser.post(f"{path}/edit", changes, seen=page)
    account = (await admin(f"GET /v1{path}")).body
    assert (account["name"], account["tier"]) == ("Acme Shop", "pro")
    assert (account["own_per_minute"], account["own_per_day"]) == (5, None)
    refused = await browser.post(
        f"{path}/edit", {**changes, "name": "", "per_day": "many"}, seen=page
    )
    assert refused.status == 400
    for name in ("name", "per_day"):
        assert f'id="{name}-error" role="alert"' in refused.text
    assert 'value="many"' in refused.text


async def test_an_account_shows_its_keys_and_its_use_against_its_limits(
    client, database, service, admin, browser
):
    key = await make_key(database, capabilities=("orders:read",), name="checkout")
    account = key.listed.record.account_id
    await admin(f"PATCH /v1/accounts/{account}", {"per_minute": 3})
    for status in (200, 200, 200, 429):
        assert (await try_token(client, key)).status == status
    await service.exchange.usage.flush_once()
    shown = await browser.get(f"/accounts/{account}")
    assert "checkout" in list_names(shown)
    assert "This minute 3 of 3 Used up" in shown.words
    assert "Today 3 of 50,000" in shown.words
    assert "Over the account's minute All its keys share that limit." in shown.words
    usage = (await admin(f"GET /v1/accounts/{account}/usage")).body
    assert (usage["minute"]["used"], usage["minute"]["limit"], usage["day"]["used"]) == (3, 3, 3)
    assert (usage["hours"][0]["issued"], usage["keys"]["active"]) == (3, 1)
    assert usage["minute"]["ends_at"] > usage["until"]


async def test_an_account_has_a_contact_that_its_owner_changes(client, database, browser):
    owner = await make_key(database, capabilities=("tokensvc:keys",))
    path = f"/accounts/{owner.listed.record.account_id}"
    page = await browser.get(path)
    assert "Nobody is told of what happens to its keys." in page.words
    refused = await browser.post(f"{path}/contact", {"contact": "nobody"}, seen=page)
    assert refused.status == 400
    assert 'value="nobody"' in refused.text
    assert 'role="alert"' in refused.text
    of_owner = await open_browser(client, owner)
    page = await of_owner.get(path)
    done = await of_owner.post(f"{path}/contact", {"contact": "ops@example.com"}, seen=page)
    page = await of_owner.get(done.place.removeprefix("/dashboard"))
    assert "A link is on its way to ops@example.com" in page.words
    assert "Contact ops@example.com Not confirmed" in page.words
    again = await of_owner.post(f"{path}/contact/link", {}, seen=page)
    assert again.place == f"/dashboard{path}?said=link"
    done = await of_owner.post(f"{path}/contact", {"contact": ""}, seen=page)
    page = await of_owner.get(done.place.removeprefix("/dashboard"))
    assert "The account has no contact any more." in page.words


async def test_an_account_is_suspended_with_its_consequence_and_resumed(
    client, database, admin, browser
):
    key = await make_key(database, capabilities=("orders:read",))
    path = f"/accounts/{key.listed.record.account_id}"
    await client.get("/v1/denylist?follower=orders-1")
    page = await browser.get(f"{path}/suspend")
    assert "Its one active key gets no token any more" in page.words
    done = await browser.post(f"{path}/suspend", {"reason": "unpaid"}, seen=page)
    assert done.place.startswith(f"/dashboard{path}/ended?ending=suspended&seq=")
    shown = await browser.get(done.place.removeprefix("/dashboard"))
    assert "The account is suspended" in shown.words
    assert "Applied by 0 of 1 follower" in shown.words or "No follower" in shown.words
    event = (await admin(f"GET /v1/audit-events?subject={path[10:]}")).body["items"][0]
    assert (event["operation"], event["detail"]["reason"]) == ("accounts.suspend", "unpaid")
    page = await browser.get(path)
    assert "Its keys get no token until somebody resumes the account." in page.words
    await browser.post(f"{path}/resume", seen=page)
    assert (await admin(f"GET /v1{path}")).body["state"] == "active"
    page = await browser.get(f"{path}/revoke-tokens")
    done = await browser.post(f"{path}/revoke-tokens", {"reason": ""}, seen=page)
    assert "ending=tokens" in done.place


async def test_an_account_is_deleted_after_its_name_was_typed(client, database, admin, browser):
    key = await make_key(database, capabilities=("orders:read",))
    path = f"/accounts/{key.listed.record.account_id}"
    name = (await admin(f"GET /v1{path}")).body["name"]
    page = await browser.get(f"{path}/delete")
    refused = await browser.post(f"{path}/delete", {"typed": "something"}, seen=page)
    assert refused.status == 400
    assert "Type the name of the account as it stands there" in refused.words
    done = await browser.post(f"{path}/delete", {"typed": name}, seen=page)
    assert "ending=deleted" in done.place
    assert (
        "The account is deleted" in (await browser.get(done.place.removeprefix("/dashboard"))).words
    )
    assert (await browser.get(path)).status == 404
    assert (await try_token(client, key)).status == 401


async def test_who_ends_the_own_account_is_warned_and_signed_out(client, database):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, key)
    path = f"/accounts/{key.listed.record.account_id}"
    page = await browser.get(f"{path}/suspend")
    assert "You will be signed out." in page.words
    done = await browser.post(f"{path}/suspend", {"reason": ""}, seen=page)
    assert done.place == "/dashboard/accounts"


async def test_readers_change_nothing_and_owners_see_the_own_account_alone(
    client, database, account, subtests
):
    owner = await make_key(database, capabilities=("tokensvc:keys",))
    reader = await make_key(database, capabilities=("tokensvc:read",))
    of_owner = await open_browser(client, owner)
    own = owner.listed.record.account_id
    listed = await of_owner.get("/accounts")
    assert own in listed.text
    assert account not in listed.text
    assert "Tiers" not in listed.words
    assert (await of_owner.get(f"/accounts/{account}")).status == 404
    shown = await of_owner.get(f"/accounts/{own}")
    assert shown.status == 200
    assert f"/dashboard/accounts/{own}/edit" not in shown.text
    assert "Suspend" not in shown.words
    of_reader = await open_browser(client, reader)
    assert f"/dashboard/accounts/{own}/" not in (await of_reader.get(f"/accounts/{own}")).text
    for path in ("/new", f"/{own}/edit", f"/{own}/suspend", f"/{own}/delete"):
        for browser in (of_owner, of_reader):
            with subtests.test(msg=path):
                assert (await browser.get(f"/accounts{path}")).status == 403
