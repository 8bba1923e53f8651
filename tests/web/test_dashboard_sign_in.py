"""Signing in to the dashboard and out of it, and what ends a sign-in."""

from __future__ import annotations

import asyncio
import time

import pytest
from testbed.ports import find_free_port
from testbed.waiting import until
from tests.integration.things import make_key, read_payload
from tests.rows import list_events
from tests.web.asking import get_own_token, get_token
from tests.web.browsing import COOKIE, Browser, open_browser
from tests.web.operating import Caller

from tokensvc import __version__
from tokensvc.core.api_key import new_api_key
from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.token import sign_jws
from tokensvc.issuer.exchange.late_answers import LateAnswers
from tokensvc.web.app_keys import REFUSALS

RIGHTS = ("tokensvc:admin", "tokensvc:read", "tokensvc:keys")


async def list_audit(database, prefix="dashboard."):
    events = await list_events(database, AuditFilter(), most=50)
    return [event for event in reversed(events) if event.operation.startswith(prefix)]


async def test_a_key_with_a_right_for_the_service_signs_in(client, database, subtests):
    for right in RIGHTS:
        with subtests.test(msg=right):
            await check_sign_in(
                client, await make_key(database, capabilities=(right, "orders:read"))
            )


async def check_sign_in(client, key):
    browser = Browser(client)
    assert (await browser.get("/")).place == "/dashboard/sign-in?next=%2F"
    assert "Paste an API key" in (await browser.get("/sign-in?next=%2F")).words
    signed_in = await browser.sign_in(key)
    assert (signed_in.status, signed_in.place) == (303, "/dashboard/sign-in/done?next=%2Fkeys")
    cookie = signed_in.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Strict", "Secure"):
        assert part in cookie
    assert "Domain" not in cookie
    assert (await browser.get("/sign-in/done?next=%2Fkeys")).place == "/dashboard/keys"
    page = await browser.get("/keys")
    assert page.status == 200
    assert key.listed.record.hint in page.text
    assert key.key.text not in page.text


async def test_refused_keys_look_alike_and_known_ones_leave_an_event(client, database):
    plain = await make_key(database, capabilities=("orders:read",))
    elsewhere = await make_key(database, capabilities=RIGHTS, networks=("192.0.2.0/24",))
    browser = Browser(client)
    texts = set()
    # A key that is shown again and again leaves one event an hour.
    shown = ("junk", new_api_key().text, plain.key.text, plain.key.text, elsewhere.key.text)
    for text in shown:
        refused = await browser.sign_in(text)
        assert refused.status == 401
        assert "This key cannot sign in here" in refused.words
        assert text not in refused.text
        texts.add(refused.text)
    assert len(texts) == 1
    assert browser.cookies == {}
    found = [(event.operation, event.subject, event.detail) for event in await list_audit(database)]
    assert found == [
        ("dashboard.refuse", plain.listed.record.id, {"reason": "no_right_to_sign_in"}),
        ("dashboard.refuse", elsewhere.listed.record.id, {"reason": "wrong_network"}),
    ]


async def test_a_refusal_that_cannot_be_held_any_more_does_not_tell_by_its_time_which_keys_exist(
    client, database, logs
):
    client.app[REFUSALS]._silent_answers = LateAnswers(pause=60, most_held=0)
    plain = await make_key(database, capabilities=("orders:read",))
    browser = Browser(client)
    for text in (new_api_key().text, plain.key.text):
        answer = await browser.sign_in(text)
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert "Too many requests of networks with many refused credentials" in answer.words
        assert "Postgres" not in answer.words
    assert [line["reason"] for line in logs.find("request")][-2:] == ["late_answers_full"] * 2


async def test_t29_the_api_takes_no_token_of_the_dashboard_and_the_dashboard_none_of_the_api(
    client, database
):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, key)
    text = browser.cookies[COOKIE]
    refused = await Caller(client, text)("GET /v1/whoami")
    assert (refused.status, refused.code) == (401, "invalid_token")
    by_cookie = await Caller(client, None)("GET /v1/keys", headers={"Cookie": f"{COOKIE}={text}"})
    assert (by_cookie.status, by_cookie.code) == (401, "missing_token")
    for other in (
        await get_own_token(client, key, "tokensvc:admin"),
        (await get_token(client, key, scope="tokensvc:admin"))["access_token"],
    ):
        stranger = Browser(client, {COOKIE: other})
        assert (await stranger.get("/keys")).place == "/dashboard/sign-in?next=%2Fkeys"
    asked = await Browser(client).get("/keys", Authorization=f"Bearer {key.key.text}")
    assert asked.status == 303


async def test_a_sign_out_revokes_the_token_and_forgets_the_cookie(client, database):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, key)
    text = browser.cookies[COOKIE]
    page = await browser.get("/keys")
    began_on = time.monotonic()
    out = await browser.post("/sign-out", seen=page)
    assert (out.status, out.place, browser.cookies) == (303, "/dashboard/sign-in", {})
    thief = Browser(client, {COOKIE: text})
    while (await thief.get("/keys")).status == 200:
        await asyncio.sleep(0.02)
    assert time.monotonic() - began_on < 1
    names = [event.operation for event in await list_audit(database)]
    assert names == ["dashboard.sign-in", "dashboard.sign-out"]


async def test_a_revoked_key_ends_its_sign_ins_within_a_second(client, database, admin):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, key)
    page = await browser.get("/keys")
    began_on = time.monotonic()
    await admin(f"POST /v1/keys/{key.listed.record.id}/revoke", {})
    # What changes something is judged by Postgres at once, what only shows by this process's copy.
    assert (await browser.post("/theme", {"theme": "dark"}, seen=page)).status == 401
    while (await browser.get("/keys")).status == 200:
        await asyncio.sleep(0.02)
    assert time.monotonic() - began_on < 1


async def test_a_sign_in_that_is_ended_at_another_process_ends_here_too(
    started, database, settings, new_client
):
    del started
    here = settings.model_copy(update={"issuer": settings.issuer_url})
    client = await new_client(here)
    key = await make_key(database, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, key)
    elsewhere = Browser(
        await new_client(here.model_copy(update={"port": find_free_port()})), {**browser.cookies}
    )
    out = await elsewhere.post("/sign-out", seen=await elsewhere.get("/keys"))
    assert out.status == 303
    # What changes something is refused at once, what only shows as soon as the copy has followed.
    assert (await browser.post("/theme", {"theme": "dark"})).status == 401
    await until(lambda: is_signed_out(browser))


async def is_signed_out(browser):
    return (await browser.get("/keys")).status == 303


async def test_a_sign_in_over_a_limit_says_when_to_come_again(client, database):
    key = await make_key(database, capabilities=("tokensvc:read",), per_minute=1)
    browser = await open_browser(client, key)
    refused = await Browser(client).sign_in(key)
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "this key" in refused.words
    assert key.key.text not in refused.text
    assert (await browser.get("/keys")).status == 200


@pytest.mark.usefixtures("fresh_minute")
async def test_whoever_shows_a_dead_key_again_and_again_must_wait_and_others_need_not(
    started, settings, new_client, database
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    dead = new_api_key().text
    shown = [await Browser(client).sign_in(dead) for _ in range(4)]
    assert [each.status for each in shown] == [401, 401, 401, 429]
    assert 1 <= int(shown[-1].headers["Retry-After"]) <= 60
    key = await make_key(database, capabilities=("tokensvc:read",))
    assert (await Browser(client).sign_in(key)).status == 303


async def test_whoever_came_by_a_link_of_another_site_may_go_on(client):
    browser = Browser(client)
    path = "/sign-in?next=%2Fkeys%3Fname%3Da"
    assert "Continue" in (await browser.get(path, Sec_Fetch_Site="cross-site")).words
    assert "Continue" not in (await browser.get(path, Sec_Fetch_Site="none")).words
    for evil in ("//evil.example", "https://evil.example", "/\\evil.example", "/a//b"):
        page = await browser.get("/sign-in?next=" + evil, Sec_Fetch_Site="cross-site")
        assert 'href="/dashboard/"' in page.text
        assert "evil" not in page.text


async def test_a_browser_that_keeps_no_cookie_is_told_why(client, database):
    key = await make_key(database, capabilities=("tokensvc:read",))
    browser = Browser(client)
    done = (await browser.sign_in(key)).place.removeprefix("/dashboard")
    browser.cookies.clear()
    assert "Open this over https, or on 127.0.0.1" in (await browser.get(done)).words


async def test_what_was_typed_is_kept_until_the_key_is_shown_again(client, database):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    asked = await Browser(client).post("/theme", {"theme": 'da"rk', "next": "/keys"})
    assert asked.status == 401
    assert "What you typed is kept" in asked.words
    assert '<input type="hidden" name="theme" value="da&#34;rk">' in asked.text
    browser = Browser(client)
    fields = {"theme": "dark", "next": "/keys", "api_key": key.key.text}
    wrong = await browser.post("/theme", {**fields, "api_key": "tsk-wrong"})
    assert wrong.status == 401
    assert "This key cannot sign in here" in wrong.words
    assert 'name="theme" value="dark"' in wrong.text
    again = await browser.post("/theme", fields)
    assert (again.status, again.place) == (303, "/dashboard/keys")
    assert browser.cookies["tokensvc-theme"] == "dark"
    assert 'data-theme="dark"' in (await browser.get("/keys")).text


async def test_a_browser_at_the_root_is_sent_to_the_dashboard_and_a_program_gets_links(
    client, settings
):
    shown = await client.get("/", headers={"Accept": "text/html,*/*"}, allow_redirects=False)
    assert (shown.status, shown.headers["Location"]) == (303, "/dashboard/")
    answer = await (await client.get("/")).json()
    assert (answer["name"], answer["version"]) == ("tokensvc", __version__)
    assert answer["issuer"] == settings.issuer_url
    for name, link in answer["links"].items():
        status = (await client.get(link.removeprefix(settings.issuer_url))).status
        assert status == (405 if name in {"token", "revoke", "introspect"} else 200), link


async def test_what_is_dangerous_asks_for_the_key_again_and_keeps_what_was_typed(
    client, database, service, admin, account
):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    browser = await open_browser(client, key)
    fresh = browser.cookies[COOKIE]
    payload = read_payload(fresh)
    signer = service.mirror.signers.find("ES256", service.mirror.postgres_clock.now)
    older = payload | {"auth_time": payload["auth_time"] - 601}
    browser.cookies[COOKIE] = sign_jws(older, typ="at+jwt", key=signer)
    page = await browser.get(f"/accounts/{account}/delete")
    fields = {"typed": "Orders", "reason": "over"}
    asked = await browser.post(f"/accounts/{account}/delete", fields, seen=page)
    assert asked.status == 401
    assert "Show your key again" in asked.words
    assert 'name="typed" value="Orders"' in asked.text
    assert (await admin(f"GET /v1/accounts/{account}")).status == 200
    again = await browser.post(
        f"/accounts/{account}/delete", {**fields, "api_key": key.key.text}, seen=asked
    )
    assert again.status == 303
    assert (await admin(f"GET /v1/accounts/{account}")).status == 404
    assert browser.cookies[COOKIE] not in {"", fresh}
