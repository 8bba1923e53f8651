"""The pages of keys: the list, one key, changing it, ending it."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.integration.things import make_key
from tests.web.browsing import open_browser

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.follower import FollowerId
from tokensvc.store.usage import add_usage

EDIT = {
    "name": "ci",
    "description": "",
    "capabilities": "",
    "audiences": "",
    "networks": "",
    "expires_in": "keep",
    "per_minute": "",
    "per_day": "",
    "tier": "",
    "self_rotation": "",
    "metadata": "",
    "claims": "",
}


@pytest.fixture
async def key(admin, account):
    """The id of a key of the account."""
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    wish = {"account": account, "name": "checkout-api", "capabilities": ["orders:read"]}
    made = await admin("POST /v1/keys", wish)
    return made.body["id"]


async def add_use(database, key_id, outcome, count):
    """Write what happened in the hour that runs, as the writer of usage does."""
    async with database.transaction() as connection:
        now = await connection.fetchval("select clock_timestamp()")
        hour = int(now.replace(minute=0, second=0, microsecond=0).timestamp())
        await add_usage(connection, [(key_id, count)], hour=hour, outcome=outcome)


def list_names(page):
    return re.findall(r'<th scope="row" class="names"><a [^>]*>([^<]*)</a>', page.text)


async def test_the_list_is_searched_filtered_and_paged_by_its_address(
    admin, account, browser, key, subtests
):
    del key
    for number in range(30):
        wish = {"account": account, "name": f"worker-{number:02}", "capabilities": ["orders:read"]}
        await admin("POST /v1/keys", wish)
    for query, found in (
        ("?name=worker-0", [f"worker-{n:02}" for n in range(9, -1, -1)]),
        ("?name=worker-0&sort=name", [f"worker-{n:02}" for n in range(10)]),
        ("?state=revoked", []),
        (f"?account={account}&name=checkout-api", ["checkout-api"]),
        ("?name=nobody", []),
    ):
        with subtests.test(msg=query):
            page = await browser.get(f"/keys{query}")
            assert page.status == 200
            assert list_names(page) == found
    first = await browser.get(f"/keys?account={account}&sort=name")
    following = re.findall(r'href="/dashboard(/keys\?[^"]*cursor=[^"]+)"', first.text)
    second = await browser.get(following[0].replace("&amp;", "&"))
    names = [list_names(page) for page in (first, second)]
    assert len(names[0]) == 25
    assert names[0] + names[1] == ["checkout-api", *[f"worker-{n:02}" for n in range(30)]]
    rows = await browser.get("/keys?name=worker-0", HX_Request="true")
    assert rows.text.lstrip().startswith("<table")
    assert rows.headers["HX-Replace-Url"] == "/dashboard/keys?name=worker-0"
    nobody = await browser.get("/keys?name=nobody&account=&sort=", HX_Request="true")
    assert "No key fits this search." in nobody.words
    assert (await browser.get("/keys?sort=nonsense")).status == 400


async def test_a_state_says_what_is_odd_and_the_views_count(
    admin, account, database, browser, subtests
):
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    made = {}
    for name in ("fresh", "idle", "limited", "soon"):
        wish = {"account": account, "name": name, "capabilities": ["orders:read"]}
        life = {"expires_in": 86_400 * 3} if name == "soon" else {}
        made[name] = (await admin("POST /v1/keys", wish | life)).body["id"]
    async with database.transaction() as connection:
        await connection.execute(
            "update api_key set created_at = now() - interval '91 days' where id = $1", made["idle"]
        )
        await connection.execute(
            "insert into api_key_usage values ($1, date_trunc('hour', now()), "
            "'key_minute_limited', 3)",
            made["limited"],
        )
    badges = {
        "fresh": "Active", "idle": "Idle", "limited": "Over its limit", "soon": "Expires soon",
    }  # fmt: skip
    listed = await browser.get("/keys")
    for name, words in badges.items():
        with subtests.test(msg=name):
            row = listed.text[listed.text.index(f">{name}</a>") :].partition("</tr>")[0]
            assert f"{words}</span>" in row
            assert f"{words}</span></h1>" in (await browser.get(f"/keys/{made[name]}")).text
    asked = re.findall(r'hx-get="/dashboard(/keys[^"]*part=views)"', listed.text)
    views = await browser.get(asked[0], HX_Request="true")
    found = re.findall(
        r'href="/dashboard(/keys[^"]*)"[^>]*>([A-Z][a-z ]+?) <span class="num small">(\d+)<',
        views.text,
    )
    assert len(found) == 7
    for path, label, number in found:
        with subtests.test(msg=label):
            page = await browser.get(path.replace("&amp;", "&"))
            assert f'aria-current="page">{label}</a>' in page.text
            assert page.text.count('<th scope="row" class="names">') == int(number)


async def test_many_keys_are_disabled_or_revoked_after_a_question(admin, account, browser, key):
    wish = {"account": account, "name": "other", "capabilities": ["orders:read"]}
    other = (await admin("POST /v1/keys", wish)).body["id"]
    for act, state in (("disable", "disabled"), ("revoke", "revoked")):
        page = await browser.get("/keys")
        ticked = [("key", key), ("key", other), ("do", act)]
        asked = await browser.post("/keys/many", ticked, seen=page)
        assert asked.status == 200
        assert f"{act.capitalize()} 2 keys?" in asked.words
        done = await browser.post("/keys/many/end", ticked, seen=asked)
        assert done.place == "/dashboard/keys?done=2&refused=0"
        assert "2 keys were changed." in (await browser.get("/keys?done=2&refused=0")).words
        assert (await admin(f"GET /v1/keys/{other}")).body["state"] == state
    assert (await browser.post("/keys/many", {"do": "revoke"}, seen=page)).place.endswith("/keys")
    nothing = await browser.post("/keys/many/end", {"do": "delete", "key": key}, seen=asked)
    assert nothing.status == 400


async def test_a_key_is_changed_and_what_is_wrong_stands_at_its_field(admin, browser, key):
    page = await browser.get(f"/keys/{key}/edit")
    assert 'value="orders:read" checked' in page.text
    fields = [*{**EDIT, "name": "nightly", "metadata": '{"team": "shop"}'}.items()]
    fields.append(("capabilities", "orders:read"))
    saved = await browser.post(f"/keys/{key}/edit", fields, seen=page)
    assert (saved.status, saved.place) == (303, f"/dashboard/keys/{key}?said=changed")
    shown = (await admin(f"GET /v1/keys/{key}")).body
    assert (shown["name"], shown["metadata"]) == ("nightly", {"team": "shop"})
    assert (shown["self_rotation"], shown["expires_at"]) == (False, None)
    broken = [*{**EDIT, "metadata": "{", "per_day": "-1"}.items()]
    refused = await browser.post(f"/keys/{key}/edit", broken, seen=page)
    assert refused.status == 400
    assert "It must be JSON" in refused.words
    for metadata, detail in (
        ('{"a":' * 2_000, "It must be JSON"),
        ('{"a":' * 30 + "1" + "}" * 30, "nested more than 20 deep"),
        ('{"a": 1, "a": 2}', "stands twice"),
    ):
        refused = await browser.post(
            f"/keys/{key}/edit", [*{**EDIT, "metadata": metadata}.items()], seen=page
        )
        assert (refused.status, detail in refused.words) == (400, True)
    no_right = await browser.post(f"/keys/{key}/edit", EDIT, seen=page)
    assert no_right.status == 400
    assert 'value="orders:read" checked' not in no_right.text


async def test_a_key_is_disabled_and_enabled(admin, browser, key):
    page = await browser.get(f"/keys/{key}")
    disabled = await browser.post(f"/keys/{key}/disable", seen=page)
    assert disabled.place == f"/dashboard/keys/{key}?said=disabled"
    page = await browser.get(f"/keys/{key}?said=disabled")
    assert "The key gets no token any more, and its tokens are revoked." in page.words
    assert (await admin(f"GET /v1/keys/{key}")).body["state"] == "disabled"
    await browser.post(f"/keys/{key}/enable", seen=page)
    assert (await admin(f"GET /v1/keys/{key}")).body["state"] == "active"


async def test_a_key_is_rotated_once_however_often_the_form_is_sent(admin, browser, key):
    page = await browser.get(f"/keys/{key}/rotate")
    named = re.findall(r'name="idempotency_key" value="([^"]+)"', page.text)[0]
    fields = {"grace": "3600", "idempotency_key": named}
    first = await browser.post(f"/keys/{key}/rotate", fields, seen=page)
    again = await browser.post(f"/keys/{key}/rotate", fields, seen=page)
    secrets = {re.findall(r"tsk-[0-9A-Za-z]{32}", shown.text)[0] for shown in (first, again)}
    assert len(secrets) == 1
    successor = (await admin(f"GET /v1/keys/{key}")).body["successor"]
    assert f"/dashboard/keys/{successor}" in (await browser.get(f"/keys/{key}")).text
    other = await browser.post(f"/keys/{key}/rotate", {"grace": "3600"}, seen=page)
    assert other.status == 409


async def test_a_revocation_says_what_it_will_do_and_shows_who_has_applied_it(
    admin, client, browser, key
):
    await client.get("/v1/denylist?follower=orders-1")
    page = await browser.get(f"/keys/{key}/revoke")
    assert "This cannot be undone." in page.words
    fields = {"reason": "Owner left", "note": "T-1"}
    revoked = await browser.post(f"/keys/{key}/revoke", fields, seen=page)
    assert revoked.status == 303
    assert revoked.place.startswith(f"/dashboard/keys/{key}/ended?ending=revoked&seq=")
    assert (await admin(f"GET /v1/keys/{key}")).body["state"] == "revoked"
    event = (await admin(f"GET /v1/audit-events?subject={key}")).body["items"][0]
    assert event["operation"] == "keys.revoke"
    assert event["detail"]["reason"] == "Owner left: T-1"
    shown = await browser.get(revoked.place.removeprefix("/dashboard"))
    assert "gets no token any more" in shown.words


async def test_a_follower_that_lags_for_minutes_is_no_news_in_every_second(
    admin, browser, key, service, database
):
    cursor = (await admin("GET /v1/revocations/watch")).body["cursor"]
    service.receipts.note(FollowerId("", "orders-1"), parse_cursor(cursor))
    async with asyncio.timeout(60):
        while not (await admin("GET /v1/followers")).body["items"]:
            await asyncio.sleep(0.05)
    page = await browser.get(f"/keys/{key}/revoke")
    revoked = await browser.post(f"/keys/{key}/revoke", {"reason": "lost"}, seen=page)
    seen = []
    for seconds in (600, 3):
        async with database.transaction() as connection:
            await connection.execute(
                "update denylist set created_at = created_at - $1 * interval '1 second'", seconds
            )
        shown = await browser.get(revoked.place.removeprefix("/dashboard"))
        assert "10 min" in shown.words
        seen += re.findall(r"seen=(\w+)", shown.text)
    assert len(seen) == 2
    assert seen[0] == seen[1]


async def test_the_name_of_a_key_in_use_is_typed_before_it_is_revoked(
    client, admin, database, browser
):
    used = await make_key(database, capabilities=("tokensvc:read",), name="in use")
    await client.get("/v1/whoami", headers={"Authorization": f"Bearer {used.key.text}"})
    path = f"/keys/{used.listed.record.id}/revoke"
    async with database.transaction() as connection:
        await connection.execute(
            "insert into api_key_last_use (key_id, at, network, audience) "
            "values ($1, clock_timestamp(), '192.0.2.0/24', 'api') on conflict do nothing",
            used.listed.record.id,
        )
    page = await browser.get(path)
    assert "the key is in use" in page.words
    refused = await browser.post(path, {"reason": "Other", "typed": "something"}, seen=page)
    assert refused.status == 400
    assert "Type the name of the key as it stands there" in refused.words
    assert (await admin(f"GET /v1/keys/{used.listed.record.id}")).body["state"] == "active"
    done = await browser.post(path, {"reason": "Other", "typed": "in use"}, seen=page)
    assert done.status == 303


async def test_the_tokens_of_a_key_are_revoked_and_the_key_goes_on(admin, browser, key):
    page = await browser.get(f"/keys/{key}")
    assert f'href="/dashboard/keys/{key}/revoke-tokens"' in page.text
    page = await browser.get(f"/keys/{key}/revoke-tokens")
    assert "Tokens that are revoked stay revoked." in page.words
    done = await browser.post(f"/keys/{key}/revoke-tokens", {"reason": "stolen laptop"}, seen=page)
    assert done.place.startswith(f"/dashboard/keys/{key}/ended?ending=tokens&seq=")
    assert "The key gets new tokens." in (await browser.get(done.place[10:])).words
    assert (await admin(f"GET /v1/keys/{key}")).body["state"] == "active"
    event = (await admin(f"GET /v1/audit-events?subject={key}")).body["items"][0]
    assert (event["operation"], event["detail"]["reason"]) == (
        "keys.revoke-tokens",
        "stolen laptop",
    )


async def test_a_key_is_deleted_and_its_history_stays(admin, browser, key):
    assert f'href="/dashboard/keys/{key}/delete"' in (await browser.get(f"/keys/{key}")).text
    page = await browser.get(f"/keys/{key}/delete")
    assert "Its history stays in the audit" in page.words
    done = await browser.post(f"/keys/{key}/delete", seen=page)
    assert done.place.startswith(f"/dashboard/keys/{key}/ended?ending=deleted&seq=")
    shown = await browser.get(done.place[10:])
    assert "The key is deleted" in shown.words
    assert key in shown.text
    assert f'href="/dashboard/keys/{key}"' not in shown.text
    assert (await browser.get(f"/keys/{key}")).status == 404
    assert (await admin("GET /v1/keys?name=checkout-api")).body["items"] == []
    events = (await admin(f"GET /v1/audit-events?subject={key}")).body["items"]
    assert [event["operation"] for event in events] == ["keys.delete", "keys.create"]


async def test_whoever_ends_the_own_key_is_warned_and_signed_out(client, database):
    own = await make_key(database, capabilities=("tokensvc:keys",))
    path = f"/keys/{own.listed.record.id}/delete"
    browser = await open_browser(client, own)
    page = await browser.get(path)
    assert "You are signed in with this key." in page.words
    done = await browser.post(path, {"typed": own.listed.record.terms.name}, seen=page)
    assert (done.status, done.place) == (303, "/dashboard/keys?said=deleted")
    assert (await browser.post("/theme", seen=page)).status == 401


async def test_a_key_shows_its_use_against_its_limits_who_made_it_and_why_it_got_no_token(
    client, admin, database, browser, key
):
    made = await admin(f"POST /v1/keys/{key}/rotate", {"grace": 3600})
    for _ in range(2):
        await client.post("/v1/token", headers={"Authorization": f"Bearer {made.body['key']}"})
    await add_use(database, made.body["id"], "wrong_network", 7)
    async with database.transaction() as connection:
        await connection.execute(
            "update api_key set created_at = created_at - interval '200 days' where id = $1",
            made.body["id"],
        )
    page = await browser.get(f"/keys/{made.body['id']}")
    assert "This minute 2 of 60" in page.words
    assert "Today 2 of 5,000" in page.words
    assert "shared with the keys before and after it" in page.words
    maker = (await admin("GET /v1/whoami")).body["key"]
    assert f'<span class="muted">by</span><a class="named" href="/dashboard/keys/{maker}"' in (
        page.text
    )
    assert "200 days old: rotate it when you can" in page.words
    said = "Network refused It came from outside of the networks of the key."
    assert said in page.words
    assert page.words.partition(said)[2].split()[1] == "7"


async def test_a_dialog_gets_the_form_of_the_page_alone(browser, key, subtests):
    for act in ("rotate", "revoke"):
        with subtests.test(msg=act):
            shown = await browser.get(f"/keys/{key}/{act}", HX_Request="true")
            assert "<html" not in shown.text
            assert f'<h2 id="{act}-title">' in shown.text
            assert f'action="/dashboard/keys/{key}/{act}"' in shown.text
            assert f'data-opens="#{act}"' in (await browser.get(f"/keys/{key}")).text


async def test_a_key_owner_sees_the_keys_of_the_own_account_alone(client, database, key):
    owner = await make_key(database, capabilities=("tokensvc:keys", "orders:read"))
    browser = await open_browser(client, owner)
    listed = await browser.get("/keys")
    assert owner.listed.record.hint in listed.text
    assert key not in listed.text
    for page in ("", "/edit", "/rotate", "/revoke", "/revoke-tokens", "/delete"):
        assert (await browser.get(f"/keys/{key}{page}")).status == 404
    own = await browser.get(f"/keys/{owner.listed.record.id}")
    assert own.status == 200
    lock = own.find_lock("/theme")
    assert lock
    assert "Audit" not in own.words


async def test_a_leak_is_told_on_the_page_of_the_key_and_its_place_is_only_text(
    client, browser, database
):
    key = await make_key(database)
    page = await browser.get(f"/keys/{key.listed.record.id}")
    assert "found where it should not be" not in page.words
    leak = {"key": key.key.text, "url": "javascript:<b>1</b>", "source": "commit"}
    async with client.post("/v1/leaks", json={"leaks": [leak]}) as answer:
        assert answer.status == 202
    page = await browser.get(f"/keys/{key.listed.record.id}")
    assert "found where it should not be" in page.words
    assert "It got no token since" in page.words
    assert "javascript:&lt;b&gt;1&lt;/b&gt;" in page.text
    assert 'href="javascript' not in page.text
