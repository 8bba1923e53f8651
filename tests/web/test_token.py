from __future__ import annotations

import time
from datetime import timedelta

import pytest
from tests.integration.things import ACTOR, make_key, read_header, read_payload
from tests.web.asking import (
    ACCESS_TOKEN_TYPE,
    FORMS,
    TOKEN_EXCHANGE,
    Asked,
    ask,
    get_token,
    send,
    try_token,
)

from tokensvc.issuer.admin import api_keys, audiences


@pytest.mark.parametrize("form", FORMS)
async def test_each_form_of_a_good_request_gets_the_same_token(form, client, key, settings, logs):
    record = key.listed.record
    before = int(time.time())
    answer = await send(client, ask(form, key.key.text, record.id))
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    body = await answer.json()
    token = body.pop("access_token")
    expected = {"token_type": "Bearer", "expires_in": 600, "scope": "orders:read orders:write"}
    assert body == expected | (
        {"issued_token_type": ACCESS_TOKEN_TYPE} if form == "exchange" else {}
    )
    claims = read_payload(token)
    assert claims == {
        "iss": settings.issuer_url,
        "sub": record.account_id,
        "aud": "api",
        "iat": claims["iat"],
        "exp": claims["iat"] + 600,
        "jti": claims["jti"],
        "client_id": record.id,
        "scope": "orders:read orders:write",
    }
    assert before <= claims["iat"] <= time.time()
    jwks = await (await client.get("/.well-known/jwks.json")).json()
    header = read_header(token)
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": header["kid"]}
    assert header["kid"] in {jwk["kid"] for jwk in jwks["keys"]}
    (line,) = [line for line in logs.find("request") if line["route"] == "/v1/token"]
    assert (line["key_id"], line["jti"], line["aud"], line["status"]) == (
        record.id,
        claims["jti"],
        "api",
        200,
    )


async def test_the_first_admin_key_gets_a_token_that_is_asked_for_by_name(client, started):
    asked = {"audience": "tokensvc", "scope": "tokensvc:admin"}
    assert (await get_token(client, started.admin, **asked))["scope"] == "tokensvc:admin"


async def test_t6_capabilities_for_the_service_itself_are_given_only_by_name(
    client, started, database, connection
):
    both = await make_key(database, capabilities=["orders:read", "tokensvc:introspect"])
    assert (await get_token(client, both))["scope"] == "orders:read"
    named = (await get_token(client, both, scope="orders:read tokensvc:introspect"))["scope"]
    assert named == "orders:read tokensvc:introspect"
    answer = await try_token(client, started.admin)
    assert (answer.status, await answer.json()) == (
        400,
        {
            "error": "invalid_scope",
            "error_description": "scope must name what is wanted: capabilities that begin with "
            "tokensvc: are given only when they are named, and there are no others",
        },
    )
    counted = "select coalesce(sum(minute_count), 0) from api_key_window where key_id = $1"
    assert await connection.fetchval(counted, started.admin.listed.record.id) == 0


NARROWER = {
    "nothing asked": ({}, "orders:read orders:write", 600),
    "an empty scope counts as absent": ({"scope": ""}, "orders:read orders:write", 600),
    "a part of the scope": ({"scope": "orders:read"}, "orders:read", 600),
    "the whole scope in another order, once twice": (
        {"scope": "orders:write orders:read orders:write"},
        "orders:read orders:write",
        600,
    ),
    "a shorter life": ({"expires_in": "60"}, "orders:read orders:write", 60),
    "the shortest life": ({"expires_in": "1"}, "orders:read orders:write", 1),
    "a longer life is not given": ({"expires_in": "9999999999"}, "orders:read orders:write", 600),
    "an empty life counts as absent": ({"expires_in": ""}, "orders:read orders:write", 600),
    "the default audience by name": ({"audience": "api"}, "orders:read orders:write", 600),
    "an empty audience counts as absent": ({"audience": ""}, "orders:read orders:write", 600),
    "an unknown parameter": ({"flavour": "vanilla"}, "orders:read orders:write", 600),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_request_may_ask_for_less_and_never_gets_more(form, client, key, subtests):
    good = ask(form, key.key.text, key.listed.record.id)
    for name, (fields, scope, life) in NARROWER.items():
        with subtests.test(msg=name):
            answer = await send(
                client, Asked(headers=good.headers, fields=(*good.fields, *fields.items()))
            )
            body = await answer.json()
            claims = read_payload(body["access_token"])
            assert (
                (body["scope"], body["expires_in"])
                == (claims["scope"], claims["exp"] - claims["iat"])
                == (scope, life)
            )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(scheme, client, key):
    answer = await client.post("/v1/token", headers={"Authorization": f"{scheme}  {key.key.text} "})
    assert answer.status == 200


async def test_utf8_may_be_named_as_the_charset(client, key):
    asked = ask("post", key.key.text, key.listed.record.id)
    answer = await send(
        client, asked, content_type="application/x-www-form-urlencoded;charset=UTF-8"
    )
    assert answer.status == 200


async def test_an_audience_decides_how_long_its_tokens_live(client, key, database, settings):
    for name, life in (
        ("short", timedelta(seconds=60)),
        ("https://long.example/api", timedelta(seconds=3600)),
        ("plain", None),
    ):
        await audiences.create_audience(database, settings, name, token_life=life, actor=ACTOR)
    assert (await get_token(client, key, audience="short"))["expires_in"] == 60
    assert (await get_token(client, key, audience="short", expires_in="30"))["expires_in"] == 30
    assert (await get_token(client, key, audience="plain"))["expires_in"] == 600
    body = await get_token(
        client, key, resource="https://long.example/api", audience="https://long.example/api"
    )
    assert body["expires_in"] == 3600
    assert read_payload(body["access_token"])["aud"] == "https://long.example/api"


async def test_an_audience_that_is_removed_gets_no_more_tokens(
    client, service, key, database, settings
):
    await audiences.create_audience(database, settings, "gone", actor=ACTOR)
    assert (await get_token(client, key, audience="gone"))["expires_in"] == 600
    await audiences.delete_audience(database, settings, "gone", actor=ACTOR)
    await service.mirror.refresh_once()
    answer = await try_token(client, key, [("audience", "gone")])
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_target")


async def test_a_change_of_a_key_shows_in_its_next_token(client, key, database):
    assert (await get_token(client, key))["scope"] == "orders:read orders:write"
    changes = api_keys.KeyChanges(capabilities=["orders:read"])
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    assert (await get_token(client, key))["scope"] == "orders:read"


async def test_no_two_tokens_share_an_id(client, key):
    ids = [read_payload((await get_token(client, key))["access_token"])["jti"] for _ in range(20)]
    assert len(set(ids)) == 20


async def test_tokens_leave_no_row_behind(client, key, service, connection):
    async def count() -> int:
        tables = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'public'"
        )
        return sum(
            [
                await connection.fetchval(f"select count(*) from {table['tablename']}")
                for table in tables
            ]
        )

    # What a key did in an hour is one row, and is written every few seconds.
    await get_token(client, key)
    await service.exchange.usage.flush_once()
    rows = await count()
    for _ in range(10):
        await get_token(client, key)
    await service.exchange.usage.flush_once()
    assert await count() == rows


async def test_a_key_of_another_prefix_works_where_that_prefix_is_set(
    database, started, settings, new_client
):
    del started
    made = await api_keys.create_key(
        database,
        (await make_key(database)).listed.record.account_id,
        api_keys.KeyWish(name="other", capabilities=["orders:read"]),
        prefix="acme-",
        actor=ACTOR,
    )
    client = await new_client(settings.model_copy(update={"key_prefix": "acme-"}))
    assert made.key.text.startswith("acme-")
    assert (await get_token(client, made))["scope"] == "orders:read"


async def test_jwt_may_be_asked_for_as_the_type_of_the_token(client, key):
    asked = ask("exchange", key.key.text, "")
    asked = Asked(
        fields=(*asked.fields, ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt"))
    )
    body = await (await send(client, asked)).json()
    assert (body["issued_token_type"], body["token_type"]) == (ACCESS_TOKEN_TYPE, "Bearer")
    assert asked.fields[0] == ("grant_type", TOKEN_EXCHANGE)
