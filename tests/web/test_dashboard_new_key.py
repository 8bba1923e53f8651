"""Making a key in the dashboard: what was typed is kept, and the key is shown once."""

from __future__ import annotations

import html
import re
import shlex
from datetime import timedelta

from tests.integration.things import make_key
from tests.web.browsing import find_fields, open_browser

from tokensvc.operations.key_models import CreateKey

FORM = {
    "name": "returns-worker",
    "description": "",
    "capabilities": "",
    "audiences": "",
    "networks": "10.24.0.0/16\r\n2001:db8:24::/48",
    "expires_in": str(90 * 86_400),
    "per_minute": "",
    "per_day": "500",
}


async def fill(browser, account, **changes):
    page = await browser.get("/keys/new")
    named = re.findall(r'name="idempotency_key" value="([^"]+)"', page.text)[0]
    fields = {**FORM, "account": account, "idempotency_key": named} | changes
    return page, [*fields.items(), ("capabilities", "orders:read")]


async def test_a_key_is_made_and_shown_once(client, admin, account, browser):
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    page, fields = await fill(browser, account, networks="")
    made = await browser.post("/keys/new", fields, seen=page)
    assert made.status == 200
    assert made.headers["Cache-Control"] == "no-store"
    assert "Content-Encoding" not in made.headers
    key = re.findall(r"tsk-[0-9A-Za-z]{32}", made.text)[0]
    assert f"TOKENSVC_API_KEY={key}" in made.text
    token = await client.post("/v1/token", headers={"Authorization": f"Bearer {key}"})
    assert token.status == 200
    again = await browser.post("/keys/new", fields, seen=page)
    assert key in again.text, "who reloads the page sees the same key, and makes no second one"
    listed = await browser.get("/keys?name=returns")
    assert listed.text.count('aria-label="Select returns-worker"') == 1
    assert key not in listed.text


async def test_what_was_typed_is_kept_and_each_fault_stands_at_its_field(admin, account, browser):
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    page, fields = await fill(browser, account, name='a"<b>', networks="nowhere", per_day="many")
    shown = await browser.post("/keys/new", fields, seen=page)
    assert shown.status == 400
    assert 'value="a&#34;&lt;b&gt;"' in shown.text
    assert ">\nnowhere</textarea>" in shown.text
    assert 'value="many"' in shown.text
    for name in ("networks", "per_day"):
        assert f'id="{name}-error" role="alert"' in shown.text
    assert "Nothing was saved. Have another look at networks , per day ." in shown.words
    assert 'value="orders:read" checked' in shown.text
    mended = [(n, {"networks": "", "per_day": ""}.get(n, t)) for n, t in fields]
    assert (await browser.post("/keys/new", mended, seen=shown)).status == 200


async def test_a_key_owner_gives_only_what_the_own_key_holds(client, database, admin):
    key = await make_key(database, capabilities=("tokensvc:keys", "orders:read"))
    browser = await open_browser(client, key)
    page, fields = await fill(browser, key.listed.record.account_id, networks="")
    assert "You give at most what your own key has : 60 exchanges a minute" in page.words
    assert 'value="orders:read"' in page.text
    assert 'value="tokensvc:admin"' not in page.text
    assert (await browser.post("/keys/new", fields, seen=page)).status == 200
    greedy = [*fields, ("capabilities", "tokensvc:keys"), ("capabilities", "tokensvc:admin")]
    refused = await browser.post("/keys/new", greedy, seen=page)
    assert refused.status in {403, 422}
    other = (await admin("POST /v1/accounts", {"name": "Others"})).body["id"]
    page, fields = await fill(browser, other, networks="")
    assert (await browser.post("/keys/new", fields, seen=page)).status == 404


async def test_the_form_of_a_key_owner_begins_within_what_the_own_key_can_give(client, database):
    key = await make_key(
        database,
        capabilities=("tokensvc:keys", "orders:read"),
        audiences=("api", "tokensvc:dashboard"),
        per_minute=7,
        life=timedelta(days=40),
    )
    browser = await open_browser(client, key)
    page = await browser.get("/keys/new")
    assert 'name="audiences" value="api" checked' in page.text
    assert f'name="expires_in" value="{30 * 86_400}"' in page.text
    begun = [each for each in find_fields(page, "/keys/new") if each[0] != "name"]
    wish = [("name", "within"), ("capabilities", "orders:read")]
    made = await browser.post("/keys/new", [*begun, *wish], seen=page)
    assert made.status == 200, made.words


async def test_what_a_form_begins_with_ends_before_the_own_key_if_that_ends_soon(client, database):
    made = [
        await make_key(
            database,
            capabilities=("tokensvc:keys", "orders:read"),
            networks=("127.0.0.0/8", "::1/128"),
            life=timedelta(hours=hours),
        )
        for hours in (1, 100)
    ]
    for key in made:
        browser = await open_browser(client, key)
        page = await browser.get("/keys/new?template=read-only")
        begun = [each for each in find_fields(page, "/keys/new") if each[0] != "name"]
        refused = await browser.post("/keys/new", [*begun, ("name", "")], seen=page)
        again = [each for each in find_fields(refused, "/keys/new") if each[0] != "name"]
        assert dict(again)["expires_in"] == dict(begun)["expires_in"]
        answer = await browser.post("/keys/new", [*again, ("name", "within")], seen=refused)
        assert answer.status == 200, answer.words
    assert "Longest: 4 days" in page.words


async def test_a_form_starts_with_what_a_template_ticks(client, database, admin, browser, subtests):
    for name in ("orders:read", "orders:write", "orders:refund"):
        await admin("POST /v1/capabilities", {"name": name})
    key = await make_key(database, capabilities=("tokensvc:keys", "orders:write"))
    owner = await open_browser(client, key)
    for who, template, ticked, days, limit in (
        (browser, "", [], "", ""),
        (browser, "nonsense", [], "", ""),
        (browser, "read-only", ["orders:read"], 90, ""),
        (browser, "ci-job", ["orders:read"], 30, "10"),
        (browser, "service", ["orders:read", "orders:write"], "", ""),
        (browser, "manage-keys", ["tokensvc:keys"], 90, "30"),
        (owner, "service", ["orders:write"], "", ""),
    ):
        with subtests.test(msg=template):
            page = await who.get(f"/keys/new?template={template}")
            boxes = re.findall(r'name="capabilities" value="([^"]+)" checked', page.text)
            assert boxes == ticked
            life = re.findall(r'name="expires_in" value="([0-9]*)"[^>]* checked', page.text)
            assert life == [str(days * 86_400) if days else ""]
            assert re.findall(r'id="per_minute"[^>]* value="([0-9]*)"', page.text) == [limit]
            assert "tokensvc:dashboard" not in page.text


async def test_the_command_that_is_shown_gets_a_token_at_once(
    client, account, admin, browser, subtests
):
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    for capability in ("orders:read", "tokensvc:keys"):
        with subtests.test(msg=capability):
            page, fields = await fill(browser, account, networks="")
            held = [*fields[:-1], ("capabilities", capability)]
            made = await browser.post("/keys/new", held, seen=page)
            shown = re.findall(r'<pre id="curl"[^>]*>(.*?)</pre>', made.text, re.DOTALL)[0]
            words = shlex.split(html.unescape(shown))
            given = [words[at + 1] for at, word in enumerate(words) if word == "-d"]
            name, _, value = words[words.index("-H") + 1].partition(": ")
            answer = await client.post(
                "/v1/token",
                data="&".join(given),
                headers={name: value, "Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["scope"] == capability


async def test_a_key_like_another_one_begins_with_all_that_can_be_said_of_it(
    admin, account, browser
):
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    said = {
        "account": account,
        "name": "first",
        "capabilities": ["orders:read"],
        "description": "It reads",
        "audiences": ["api"],
        "networks": ["192.0.2.0/24"],
        "metadata": {"team": "shop"},
        "claims": {"region": "eu"},
        "self_rotation": False,
        "tier": "default",
        "per_minute": 7,
        "per_day": 70,
    }
    assert said.keys() | {"expires_in"} == set(CreateKey.model_fields), "a field is new"
    first = (await admin("POST /v1/keys", said)).body
    page = await browser.get(f"/keys/new?like={first['id']}")
    form = find_fields(page, "/keys/new")
    made = await browser.post("/keys/new", [*form, ("expires_in", "")])
    assert made.status == 200, made.words
    second_id = re.findall(r"Key id (key_\w+)", made.words)[0]
    second = (await admin(f"GET /v1/keys/{second_id}")).body
    assert {name: second[name] for name in said if not name.startswith("per_")} == {
        name: first[name] for name in said if not name.startswith("per_")
    }
    assert (second["own_per_minute"], second["own_per_day"]) == (7, 70)


async def test_an_account_is_found_by_a_part_of_its_name_where_not_all_are_offered(
    admin, browser, connection
):
    last = (await admin("POST /v1/accounts", {"name": "Zebra & Sons"})).body["id"]
    assert "Not all are listed here" not in (await browser.get("/keys/new")).words
    await connection.execute(
        "insert into account (id, name, created_at)"
        " select 'acct_' || lpad(n::text, 16, '0'), 'Alpha ' || n, now()"
        " from generate_series(1, 200) as n"
    )
    for form in ("/keys/new", "/notices/new"):
        page = await browser.get(form)
        assert f'value="{last}"' not in page.text
        assert "Find the others by a part of the name under Accounts" in page.words
    found = await browser.get("/accounts?name=bra")
    there = await browser.get(re.findall(r'href="/dashboard(/accounts/acct_\w+)"', found.text)[0])
    for way in re.findall(r'href="/dashboard(/(?:keys|notices)/new\?account=[^"]+)"', there.text):
        page = await browser.get(way)
        chosen = re.findall(r'<option value="(acct_\w+)"[^>]*\sselected', page.text)
        assert (chosen, "Zebra & Sons" in page.words) == ([last], True), way


async def test_a_reader_makes_no_key(client, database):
    browser = await open_browser(client, await make_key(database, capabilities=("tokensvc:read",)))
    assert (await browser.get("/keys/new")).status == 403
    assert "New key" not in (await browser.get("/keys")).words


async def test_t21_a_key_that_was_made_or_shown_here_stands_nowhere_afterwards(
    admin, account, browser, connection, logs
):
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    page, fields = await fill(browser, account, networks="")
    made = await browser.post("/keys/new", fields, seen=page)
    key = re.findall(r"tsk-[0-9A-Za-z]{32}", made.text)[0]
    await browser.sign_in(key)  # it is refused: it holds no right to sign in
    tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    for table in tables:
        rows = await connection.fetch(f'select t::text from "{table["tablename"]}" as t')
        assert not [row for row in rows if key in row[0]], table["tablename"]
    told = f"{made.headers} {browser.cookies} {logs.stream.getvalue()}"
    for path in ("/", "/keys", "/keys?name=returns", "/keys/new"):
        told += (await browser.get(path)).text
    assert key not in told
