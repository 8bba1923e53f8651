"""What holds for every page of the dashboard, whatever it shows."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer
from tests.rows import list_events
from tests.web.browsing import COOKIE, Browser

import tokensvc.web.dashboard
from tokensvc.core.audit_event import AuditFilter
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.admin_port import build_admin_app
from tokensvc.web.dashboard.pages import PAGES

FOLDER = Path(tokensvc.web.dashboard.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").rglob("*.html"))
POSTS = [page for page in PAGES if page.method == "POST"]
CLOSED = [page for page in PAGES if not page.is_open]


def fill(path: str) -> str:
    """Return a path that leads to nothing, with an id of the right form."""
    return re.sub(r"\{[a-z_]+\}", "key_0000000000000000", path)


def test_the_router_and_the_table_hold_the_same_pages(client):
    routes = {
        (route.method, route.resource.canonical.removeprefix("/dashboard"))
        for route in client.app.router.routes()
        if route.resource.canonical.startswith("/dashboard/")
    }
    known = {(page.method, page.path) for page in PAGES}
    assert {(m, p) for m, p in routes if m != "HEAD"} - known == {
        ("GET", "/static/{name}"),
        ("GET", "/{rest}"),
    }
    assert known <= routes


# What has no place in a page, and why.
ELSEWHERE = {
    "keys.rotate-self": "the key itself does it, and a person rotates it by keys.rotate",
    "leaks.report": "whoever has found a key reports it, without a sign-in",
    "signing-keys.export": "a private key must not be drawn in a browser",
    "signing-keys.import": "a private key must not be pasted into a browser",
    "whoami.show": "every page names the caller, and offers what they may do",
}


def test_every_operation_has_a_place_in_a_page_or_a_reason_to_have_none():
    calls = re.compile(r'\(\s*"([a-z-]+\.[a-z-]+)"')  # run(...), submit(...), a row of names
    texts = [path.read_text() for path in FOLDER.glob("*.py")]
    placed = {name for text in texts for name in calls.findall(text)}
    assert OPERATIONS.keys() - placed == ELSEWHERE.keys()


def test_every_page_has_a_template_and_every_template_is_used():
    named = {page.template for page in PAGES if page.template is not None}
    texts = "".join(path.read_text() for path in [*TEMPLATES, *FOLDER.glob("*.py")])
    for template in named:
        assert (FOLDER / "templates" / template).is_file()
    for path in TEMPLATES:
        name = path.relative_to(FOLDER / "templates").as_posix()
        assert f'"{name}"' in texts, f"nobody uses {name}"


def test_t29_a_template_has_no_script_style_or_unescaped_text_of_its_own(subtests):
    for path in TEMPLATES:
        text = path.read_text()
        with subtests.test(msg=path.name):
            assert not re.findall(r"\sstyle=|\son[a-z]+=|\|\s*safe|hx-on|js:|autoescape", text)
            assert not re.findall(r"<script(?![^>]*(?:src=|type=\"application/json\"))", text)
            for form in re.findall(r'<form[^>]*method="post"[^>]*>(.{0,12})', text):
                assert form.startswith("{{ lock("), "each form that is sent carries its lock"


async def test_whoever_is_not_signed_in_sees_and_does_nothing(client, subtests):
    browser = Browser(client)
    for page in CLOSED:
        with subtests.test(msg=f"{page.method} {page.path}"):
            if page.method == "GET":
                shown = await browser.get(fill(page.path))
                assert (shown.status, shown.place.partition("?")[0]) == (303, "/dashboard/sign-in")
            else:
                assert (await browser.post(fill(page.path))).status == 401


async def test_t29_to_get_a_page_changes_nothing(browser, database):
    """Of the paths that change something, most have no page to get."""
    before = await list_events(database, AuditFilter(), most=50)
    key = before[0].actor
    for page in PAGES:
        if page.path != "/sign-out":
            await browser.get(re.sub(r"\{[a-z_]+\}", key, page.path))
    assert await list_events(database, AuditFilter(), most=50) == before


async def test_t29_every_answer_has_the_headers_that_keep_others_out(browser):
    for path in ("/keys", "/sign-in", "/nothing", "/sign-out", "/static/app.css"):
        headers = (await browser.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == ("no-cache" if "static" in path else "no-store")


FROM_ELSEWHERE = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "none"},
    {"Sec_Fetch_Site": "cross-site", "Origin": "{issuer}"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "{issuer}.evil.example"},
    {},
]


async def test_t29_only_pages_of_ours_change_something(browser, settings, subtests):
    # Answers to who is refused often come late, so they are waited for together.
    tries = [(page, headers) for page in POSTS for headers in FROM_ELSEWHERE]

    async def send(page, headers):
        sent = {n: t.format(issuer=settings.issuer_url) for n, t in headers.items()}
        return await browser._send("POST", fill(page.path), "", sent)

    answers = await asyncio.gather(*(send(*one) for one in tries))
    for (page, headers), refused in zip(tries, answers, strict=True):
        with subtests.test(msg=f"{page.path} {headers}"):
            assert refused.status == 403
            assert "did not come from a page of this dashboard" in refused.words
    assert browser.cookies.keys() == {COOKIE}


async def test_a_form_carries_the_lock_of_this_very_sign_in(browser, subtests):
    for page in POSTS:
        if not page.is_open:
            with subtests.test(msg=page.path):
                for lock in ("", "0" * 32):
                    refused = await browser.post(fill(page.path), {"form_token": lock})
                    assert refused.status == 403
                    assert "belongs to another sign-in" in refused.words


async def test_without_sec_fetch_site_the_origin_must_be_that_of_the_issuer(browser, settings):
    lock = (await browser.get("/keys")).find_lock("/theme")
    body = f"theme=dark&next=/keys&form_token={lock}"
    sent = await browser._send("POST", "/theme", body, {"Origin": settings.issuer_url})
    assert sent.place == "/dashboard/keys"


async def test_a_dashboard_with_an_address_of_its_own_takes_that_origin_too(
    settings, new_client, started, subtests
):
    del started
    named = settings.model_copy(update={"dashboard_origin": "https://admin.example"})
    browser = Browser(await new_client(named))
    for origin, status in (
        ("https://admin.example", 401),
        (settings.issuer_url, 401),
        ("https://admin.example:8443", 403),
        ("", 403),
    ):
        with subtests.test(msg=origin):
            shown = await browser._send("POST", "/sign-in", "api_key=x", {"Origin": origin})
            assert shown.status == status


async def test_the_lock_of_one_form_opens_no_other(browser):
    page = await browser.get("/keys")
    refused = await browser.post("/sign-out", {"form_token": page.find_lock("/theme")})
    assert refused.status == 403


async def test_a_page_that_does_not_exist_says_so(browser):
    shown = await browser.get("/nothing")
    assert (shown.status, shown.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in shown.words


async def test_what_pages_load_may_be_kept_because_its_address_changes_with_it(client, browser):
    page = await browser.get("/keys")
    addresses = set(re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page.text))
    assert len(addresses) >= 3
    for address in addresses:
        answer = await client.get(address)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Content-Encoding" in answer.headers
    style = await (await client.get(next(a for a in addresses if "app.css" in a))).text()
    imported = re.findall(r'url\("(vendor/[^"]+)"\)', style)
    assert len(imported) == 1
    answer = await client.get(f"/dashboard/static/{imported[0]}")
    assert answer.headers["Cache-Control"].endswith("immutable")
    for name in ("vendor/lock.json", "vendor/pico.LICENSE", "app.css/"):
        assert (await client.get(f"/dashboard/static/{name}")).status == 404


async def test_with_a_port_of_their_own_pages_are_there_and_nowhere_else(
    settings, new_client, started
):
    del started
    apart = settings.model_copy(update={"admin_port": 1})
    client = await new_client(apart)
    for path in ("/dashboard/", "/dashboard/sign-in", "/dashboard/static/app.css"):
        assert (await client.get(path)).status == 404
    root = await client.get("/", headers={"Accept": "text/html"})
    assert (root.status, root.content_type) == (200, "application/json")
    async with TestClient(TestServer(build_admin_app(client.app))) as own:
        assert (await own.get("/dashboard/sign-in")).status == 200
        shown = await own.get("/", headers={"Accept": "text/html"}, allow_redirects=False)
        assert (shown.status, shown.headers["Location"]) == (303, "/dashboard/")


async def test_below_the_path_of_the_issuer_all_addresses_begin_with_it(
    settings, new_client, started
):
    del started
    client = await new_client(
        settings.model_copy(update={"issuer": f"http://127.0.0.1:{settings.port}/auth"})
    )
    for root in ("/dashboard", "/auth/dashboard"):
        text = await (await client.get(f"{root}/sign-in")).text()
        addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
        assert addresses
        assert all(address.startswith("/auth/dashboard/") for address in addresses)
