"""The token decoder: checks, tokens of others, and a token that is never repeated."""

from __future__ import annotations

import base64
import json

from tests.integration.things import make_key
from tests.web.asking import get_token
from tests.web.browsing import open_browser


def encode(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_live_token_is_decoded_and_revoked_by_its_id(client, key, browser, admin):
    token = (await get_token(client, key))["access_token"]
    page = await browser.get("/decoder")
    shown = await browser.post("/decoder", {"token": f" Bearer {token}\r\n"}, seen=page)
    assert "Live. We signed it" in shown.words
    assert "Failed" not in shown.words
    assert token not in shown.text
    assert shown.headers["Cache-Control"] == "no-store"
    jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
    done = await browser.post("/decoder/revoke", {"jti": jti, "exp_in": "600"}, seen=shown)
    assert done.place == f"/dashboard/decoder?revoked={jti}"
    assert f"The token {jti} is revoked." in (await browser.get(f"/decoder?revoked={jti}")).words
    again = await browser.post("/decoder", {"token": token}, seen=page)
    assert "Revoked. We signed it" in again.words
    assert again.words.index("Revocation") < again.words.index("Signature"), "faults come first"
    event = (await admin(f"GET /v1/audit-events?subject={jti}")).body["items"][0]
    assert event["operation"] == "tokens.revoke"


async def test_tokens_of_others_are_decoded_and_never_believed(client, database, browser):
    page = await browser.get("/decoder")
    header = {"alg": "HS256", "typ": "JWT", "kid": "<b>"}
    foreign = f"{encode(header)}.{encode({'iss': '<script>alert(1)</script>', 'exp': 10**30})}.AAAA"
    shown = await browser.post("/decoder", {"token": foreign}, seen=page)
    assert shown.status == 200
    assert "Not verified. No signing key of ours" in shown.words
    assert "<script>alert" not in shown.text
    assert "Revoke the token" not in shown.words
    junk = await browser.post("/decoder", {"token": "junk"}, seen=page)
    assert junk.status == 400
    assert "It is no token of the form that we sign" in junk.words
    reader = await open_browser(client, await make_key(database, capabilities=("tokensvc:read",)))
    page = await reader.get("/decoder")
    assert (await reader.post("/decoder", {"token": foreign}, seen=page)).status == 200
    owner = await open_browser(client, await make_key(database, capabilities=("tokensvc:keys",)))
    assert (await owner.get("/decoder")).status == 403
    assert (await browser.get("/decoder?revoked=%3Cb%3E")).status == 200
