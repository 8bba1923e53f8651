"""How clients show themselves to `/v1/introspect`, which needs it, and `/v1/revoke`, which may do.

RFC 6749 section 2.3, RFC 7009 section 2.1, RFC 7662 section 2.1.
"""

from __future__ import annotations

import asyncio

import pytest
from authlib.integrations.requests_client import OAuth2Session
from tests.integration.things import make_key, make_refused_keys, read_payload
from tests.rows import list_denylist
from tests.web.asking import Asked, basic, get_own_token, get_token

from tokensvc.core.api_key import new_api_key

INTROSPECT, REVOKE = "/v1/introspect", "/v1/revoke"
REFUSED = {"error": "invalid_client", "error_description": "the API key is not accepted"}
TWO = "two credentials: the Authorization header and client_secret"
CHALLENGE = '{} realm="tokensvc", error="invalid_client"'


@pytest.fixture
async def asker(database, client):
    """A client that may introspect."""
    del client
    return await make_key(database, capabilities=("tokensvc:introspect",))


def by_bearer(key_id, text):
    del key_id
    return Asked(headers=(("Authorization", f"Bearer {text}"),))


def by_basic(key_id, text):
    return Asked(headers=(basic(key_id, text),))


def by_post(key_id, text):
    return Asked(fields=(("client_id", key_id), ("client_secret", text)))


WAYS = {"Bearer": by_bearer, "client_secret_basic": by_basic, "client_secret_post": by_post}
SCHEMES = {"Bearer": "Bearer", "client_secret_basic": "Basic", "client_secret_post": "Basic"}


def show(way, key):
    return WAYS[way](key.listed.record.id, key.key.text)


async def post(client, path, shown, token):
    fields = [("token", token), *shown.fields]
    return await client.post(path, data=fields, headers=list(shown.headers))


async def is_live(client, asker, token):
    answer = await post(client, INTROSPECT, show("Bearer", asker), token)
    assert answer.status == 200
    return (await answer.json())["active"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_good_client_is_let_in_whichever_way_it_shows_itself(way, client, asker, key, logs):
    token = (await get_token(client, key))["access_token"]
    answer = await post(client, INTROSPECT, show(way, asker), token)
    assert (answer.status, (await answer.json())["active"]) == (200, True)
    assert logs.find("request")[-1]["caller"] == asker.listed.record.id
    answer = await post(client, REVOKE, show(way, key), token)
    assert (answer.status, await answer.text()) == (200, "{}")
    assert logs.find("request")[-1]["caller"] == key.listed.record.id
    assert not await is_live(client, asker, token)


async def test_a_token_for_the_service_itself_shows_a_client_too(client, asker, key):
    token = (await get_token(client, key))["access_token"]
    own = await get_own_token(client, asker, "tokensvc:introspect")
    for path in (INTROSPECT, REVOKE):
        assert (await post(client, path, by_bearer("", own), token)).status == 200
    assert not await is_live(client, asker, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_t6_a_token_for_a_relying_party_shows_no_client(path, client, asker, key):
    token = (await get_token(client, key))["access_token"]
    shown = (await get_token(client, asker, scope="tokensvc:introspect"))["access_token"]
    answer = await post(client, path, by_bearer("", shown), token)
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_token")
    assert await is_live(client, asker, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
@pytest.mark.parametrize("way", WAYS)
async def test_a_wrong_client_is_refused_and_nothing_is_revoked(
    way, path, client, asker, key, database, connection, subtests
):
    token = (await get_token(client, key))["access_token"]
    own_id = asker.listed.record.id
    wrong = {
        "an unknown key": (own_id, new_api_key().text),
        "a mistyped key": (own_id, asker.key.text[:-1] + "!" * (way != "Bearer")),
        "junk": ("junk", "junk"),
    }
    wrong |= {
        reason: (refused.listed.record.id, refused.key.text)
        for reason, refused in (await make_refused_keys(database, connection)).items()
    }
    if way != "Bearer":
        wrong["the key of another"] = (key.listed.record.id, asker.key.text)
        wrong["no id"] = ("", asker.key.text)
    for name, shown in wrong.items():
        with subtests.test(msg=name):
            answer = await post(client, path, WAYS[way](*shown), token)
            assert (answer.status, await answer.json()) == (401, REFUSED)
            assert answer.headers["WWW-Authenticate"] == CHALLENGE.format(SCHEMES[way])
            assert answer.headers["Cache-Control"] == "no-store"
    assert await is_live(client, asker, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_two_ways_at_once_are_a_malformed_request(path, client, asker, subtests):
    for way in ("Bearer", "client_secret_basic"):
        with subtests.test(msg=way):
            both = Asked(
                headers=show(way, asker).headers, fields=show("client_secret_post", asker).fields
            )
            answer = await post(client, path, both, "x")
            assert (answer.status, await answer.json()) == (
                400,
                {"error": "invalid_request", "error_description": TWO},
            )


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_an_id_in_the_form_must_be_that_of_the_header(path, client, asker, key):
    for named, status in ((key, 400), (asker, 200)):
        shown = Asked(
            headers=show("client_secret_basic", asker).headers,
            fields=(("client_id", named.listed.record.id),),
        )
        assert (await post(client, path, shown, "x")).status == status


async def test_an_id_alone_shows_no_client(client, asker, key, database):
    """It is what public clients send ("none"), and only a revocation needs no more."""
    token = (await get_token(client, key))["access_token"]
    alone = Asked(fields=(("client_id", asker.listed.record.id),))
    answer = await post(client, INTROSPECT, alone, token)
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
    assert "no API key came" in await answer.text()
    assert (await post(client, REVOKE, alone, token)).status == 200
    assert (await list_denylist(database))[-1].revocation.value == read_payload(token)["jti"]


async def test_a_token_that_shows_the_client_must_be_live(client, asker, key):
    token = await get_own_token(client, key, "orders:read")
    other = (await get_token(client, key))["access_token"]
    assert (await post(client, REVOKE, Asked(), token)).status == 200
    answer = await post(client, REVOKE, by_bearer("", token), other)
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_token")
    assert await is_live(client, asker, other)


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_may_revoke_itself_and_repeat_it(way, client, key):
    """An answer may be lost on its way, and a repeat must be safe."""
    token = (await get_token(client, key))["access_token"]
    for text in (token, key.key.text):
        shown = WAYS[way](key.listed.record.id, text)
        statuses = [(await post(client, REVOKE, shown, text)).status for _ in range(2)]
        assert statuses == [200, 200]


async def test_to_show_a_client_counts_against_no_limit(client, database, asker):
    key = await make_key(database, per_minute=1)
    token = (await get_token(client, key))["access_token"]
    assert (await post(client, REVOKE, show("client_secret_post", key), token)).status == 200
    assert not await is_live(client, asker, token)


@pytest.mark.usefixtures("fresh_minute")
async def test_guessing_one_key_at_revocations_again_and_again_is_refused(
    started, settings, new_client
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    guess = by_post("key_nobody", new_api_key().text)
    statuses = [(await post(client, REVOKE, guess, "x")).status for _ in range(4)]
    assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_authlib_asks_and_revokes_by_each_method_that_the_metadata_names(
    method, client, asker, key, settings, monkeypatch
):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    token = (await get_token(client, key))["access_token"]
    metadata = await (await client.get("/.well-known/oauth-authorization-server")).json()
    assert method in metadata["revocation_endpoint_auth_methods_supported"]
    assert metadata["issuer"] == settings.issuer_url

    def ask_and_revoke():
        with OAuth2Session(
            asker.listed.record.id,
            asker.key.text,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
        ) as session:
            asked = session.introspect_token(metadata["introspection_endpoint"], token=token)
            revoked = session.revoke_token(metadata["revocation_endpoint"], token=token)
            return asked.status_code, asked.json().get("active"), revoked.status_code

    asked, active, revoked = await asyncio.to_thread(ask_and_revoke)
    known = method in metadata["introspection_endpoint_auth_methods_supported"]
    assert (asked, active) == ((200, True) if known else (401, None))
    assert revoked == 200
    assert not await is_live(client, asker, token)
