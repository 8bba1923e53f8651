"""Signing keys in the dashboard: the time line, rotation, revocation, and what verifiers fetch."""

from __future__ import annotations

import html

from tests.integration.things import make_key
from tests.web.browsing import open_browser


async def list_keys(admin, phase):
    found = (await admin("GET /v1/signing-keys")).body["items"]
    return [key for key in found if key["phase"] == phase]


async def test_a_rotation_and_a_revocation_are_carried_out_and_shown(
    admin, browser, client, database, service
):
    (first,), (standby,) = await list_keys(admin, "active"), await list_keys(admin, "pending")
    page = await browser.get("/signing-keys")
    assert page.status == 200
    assert "signs since" in page.text
    assert page.text.count(f'title="{first["kid"]}"') >= 2
    assert "Revoke" in page.words
    asked = await browser.get("/signing-keys/rotate?when=now")
    assert f"{standby['kid'][:4]}…" in asked.words
    done = await browser.post("/signing-keys/rotate", {"alg": "ES256", "when": "now"}, seen=asked)
    assert done.status == 303
    assert standby["kid"] in done.place
    assert [key["kid"] for key in await list_keys(admin, "active")] == [standby["kid"]]
    page = await browser.get("/signing-keys?said=rotated&kid=x")
    assert "Retiring" in page.words
    assert "another key is retiring" in page.words or "caches must see it first" in page.words
    assert 'disabled aria-describedby="why-' in page.text, "a button that is dead says why"

    path = f"/signing-keys/{first['kid']}/revoke"
    asked = await browser.get(path)
    refused = await browser.post(path, {"typed": "no", "note": 'a"<b>'}, seen=asked)
    assert refused.status == 400
    assert 'id="typed-error" role="alert"' in refused.text
    assert 'value="a&#34;&lt;b&gt;"' in refused.text
    typed = {"typed": first["kid"][-6:], "reason": "Other", "note": 'a"<b>'}
    assert (await browser.post(path, typed, seen=refused)).status == 303
    # The revoked key had signed the sign-in, which is dead within a second.
    await service.mirror.refresh_once()
    browser = await open_browser(client, await make_key(database, capabilities=("tokensvc:admin",)))
    assert [key["kid"] for key in await list_keys(admin, "revoked")] == [first["kid"]]
    assert first["kid"] not in (await browser.get("/signing-keys")).text
    assert first["kid"] in (await browser.get("/signing-keys?show=all")).text
    link = f'href="/dashboard/signing-keys/{first["kid"]}"'
    for address in ("/denylist", "/"):
        page = await browser.get(address)
        assert link in page.text, address
        assert f"{first['kid'][:4]}…{first['kid'][-4:]}" in page.words, address
    one = await browser.get(f"/signing-keys/{first['kid']}")
    assert 'Other: a"<b>' in one.words
    assert "BEGIN PUBLIC KEY" in one.text


async def test_what_is_unsafe_is_refused_unless_it_is_forced(admin, browser):
    asked = await browser.get("/signing-keys/rotate")
    await browser.post("/signing-keys/rotate", {"alg": "ES256", "when": "soon"}, seen=asked)
    asked = await browser.get("/signing-keys/rotate?when=now")
    assert "At once, although it is not safe" in asked.words
    refused = await browser.post(
        "/signing-keys/rotate", {"alg": "ES256", "when": "now"}, seen=asked
    )
    assert refused.status == 409
    assert "is safe to sign from" in refused.words
    forced = await browser.post(
        "/signing-keys/rotate", {"alg": "ES256", "when": "force"}, seen=refused
    )
    assert forced.status == 303
    events = (await admin("GET /v1/audit-events?operation=signing-keys.rotate")).body["items"]
    assert events[0]["detail"]["unsafe_for_seconds"] > 0


async def test_the_jwks_is_shown_as_it_is_served(client, browser):
    page = await browser.get("/signing-keys/jwks")
    served = await client.get("/.well-known/jwks.json")
    assert html.escape(await served.text(), quote=False) in page.text.replace("&#34;", '"')
    for name in ("ETag", "Cache-Control", "Content-Type"):
        assert served.headers[name].split(";")[0] in page.words
    issuer = str(client.make_url("/")).rstrip("/")
    for title in ("aiohttp", "FastAPI", "Node, jose", "Spring Security", "Envoy"):
        assert title in page.words
    assert "auth.example.com" not in page.text
    assert f"{issuer.rpartition(':')[0]}" in page.words


async def test_a_reader_changes_nothing_and_a_key_owner_sees_nothing(client, database):
    reader = await open_browser(client, await make_key(database, capabilities=("tokensvc:read",)))
    page = await reader.get("/signing-keys")
    assert page.status == 200
    assert "Rotate" not in page.words.replace("Rotation", "")
    assert ">Revoke<" not in page.text
    assert (await reader.get("/signing-keys/rotate")).status == 403
    owner = await open_browser(client, await make_key(database, capabilities=("tokensvc:keys",)))
    for path in ("/signing-keys", "/signing-keys/jwks", "/denylist", "/health"):
        assert (await owner.get(path)).status == 403
        assert f'href="/dashboard{path}"' not in (await owner.get("/keys")).text
