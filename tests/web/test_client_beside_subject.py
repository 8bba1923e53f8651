"""Client authentication beside a subject token, and the audience of what comes of it (RFC 8693).

One table: every subject token x every client beside it x every audience that is asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.integration.things import ACTOR, make_key, make_refused_keys, read_payload
from tests.web.asking import (
    ACCESS_TOKEN_TYPE,
    API_KEY_TYPE,
    JWT_TYPE,
    TOKEN_EXCHANGE,
    Asked,
    basic,
    get_token,
    send,
)

from tokensvc.core.api_key import new_api_key
from tokensvc.issuer.admin import audiences

REFUSED_CLIENT = (401, "invalid_client")
MALFORMED = (400, "invalid_request")
OTHER_AUDIENCE = (400, "invalid_target")

# What is asked for -> the audience that the owner of the key gets for a token for `orders`.
WANTED = {
    "none": ((), "orders"),
    "the same": ((("audience", "orders"),), "orders"),
    "another": ((("audience", "payroll"),), "payroll"),
    "the default one": ((("audience", "api"),), "api"),
    "the service's own": ((("audience", "tokensvc"),), "tokensvc"),
    "another resource": ((("resource", "urn:payroll"),), "urn:payroll"),
    "an unknown one": ((("audience", "nobody"),), None),
}


class Client(NamedTuple):
    """What is shown beside the subject token, and what comes of that.

    `is_owner`: it is the key that the token belongs to. `refusal`: of the client itself.
    """

    asked: Asked
    is_owner: bool = False
    refusal: tuple[int, str] | None = None


def bearer(text):
    return Asked(headers=(("Authorization", f"Bearer {text}"),))


def by_basic(key_id, text):
    return Asked(headers=(basic(key_id, text),))


def by_post(key_id, text):
    return Asked(fields=(("client_id", key_id), ("client_secret", text)))


@pytest.fixture
async def audiences_of_others(database, settings, started):
    del started
    for name in ("orders", "payroll", "urn:payroll"):
        await audiences.create_audience(database, settings, name, actor=ACTOR)


@pytest.fixture
async def clients(database, connection, key, client, audiences_of_others):
    del audiences_of_others
    token = (await get_token(client, key))["access_token"]
    own_id, own, other = key.listed.record.id, key.key.text, await make_key(database)
    other_id = other.listed.record.id
    table = {
        "nobody": Client(Asked()),
        "an id alone": Client(Asked(fields=(("client_id", own_id),))),
        "the owner by Bearer": Client(bearer(own), is_owner=True),
        "the owner by Basic": Client(by_basic(own_id, own), is_owner=True),
        "the owner in the body": Client(by_post(own_id, own), is_owner=True),
        "another key by Bearer": Client(bearer(other.key.text)),
        "another key by Basic": Client(by_basic(other_id, other.key.text)),
        "another key in the body": Client(by_post(other_id, other.key.text)),
        "the owner under the id of another": Client(
            by_basic(other_id, own), refusal=REFUSED_CLIENT
        ),
        "another key under the id of the owner": Client(
            by_post(own_id, other.key.text), refusal=REFUSED_CLIENT
        ),
        "an unknown key": Client(by_basic(own_id, new_api_key().text), refusal=REFUSED_CLIENT),
        "an unknown key by Bearer": Client(bearer(new_api_key().text), refusal=REFUSED_CLIENT),
        "junk": Client(by_post(own_id, "junk"), refusal=REFUSED_CLIENT),
        "an empty secret": Client(by_basic(own_id, ""), refusal=REFUSED_CLIENT),
        "another scheme": Client(
            Asked(headers=(("Authorization", "Digest x"),)), refusal=REFUSED_CLIENT
        ),
        "a token": Client(bearer(token), refusal=REFUSED_CLIENT),
        "two ways at once": Client(
            Asked(headers=bearer(own).headers, fields=by_post(own_id, own).fields),
            refusal=MALFORMED,
        ),
    }
    for reason, refused in (await make_refused_keys(database, connection)).items():
        shown = by_basic(refused.listed.record.id, refused.key.text)
        table[f"a key that is {reason}"] = Client(shown, refusal=REFUSED_CLIENT)
    return table


async def exchange(client, subject, kind, shown, fields=()):
    return await send(
        client,
        Asked(
            headers=shown.headers,
            fields=(
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", subject),
                ("subject_token_type", kind),
                *shown.fields,
                *fields,
            ),
        ),
    )


@pytest.mark.parametrize("kind", [ACCESS_TOKEN_TYPE, JWT_TYPE])
async def test_t6_a_token_becomes_one_for_another_audience_only_for_its_own_key(
    kind, client, key, clients, subtests
):
    subject = (await get_token(client, key, audience="orders"))["access_token"]
    for name, shown in clients.items():
        for wanted, (fields, audience) in WANTED.items():
            with subtests.test(msg=f"{name}, {wanted}"):
                answer = await exchange(client, subject, kind, shown.asked, fields)
                body = await answer.json()
                got = (answer.status, body.get("error"))
                if shown.refusal is not None:
                    assert got == shown.refusal
                elif audience != "orders" and (audience is None or not shown.is_owner):
                    assert got == OTHER_AUDIENCE
                else:
                    assert got == (200, None)
                    claims = read_payload(body["access_token"])
                    assert (claims["aud"], claims["client_id"]) == (
                        audience,
                        key.listed.record.id,
                    )
                    assert claims["exp"] <= read_payload(subject)["exp"]
                    assert claims["origin_jti"] == read_payload(subject)["jti"]


async def test_a_client_beside_an_api_key_must_be_that_same_key(client, key, clients, subtests):
    for name, shown in clients.items():
        for wanted, (fields, audience) in WANTED.items():
            with subtests.test(msg=f"{name}, {wanted}"):
                answer = await exchange(client, key.key.text, API_KEY_TYPE, shown.asked, fields)
                body = await answer.json()
                got = (answer.status, body.get("error"))
                if shown.refusal is not None:
                    assert got == shown.refusal
                elif name.startswith("another key"):
                    assert got == REFUSED_CLIENT
                elif audience is None:
                    assert got == OTHER_AUDIENCE
                else:
                    assert got == (200, None)
                    expected = audience if fields else "api"
                    assert read_payload(body["access_token"])["aud"] == expected


async def test_a_refused_client_is_told_so_in_the_way_that_it_tried(client, key, clients):
    subject = (await get_token(client, key))["access_token"]
    for name, scheme in {"an unknown key": "Basic", "an unknown key by Bearer": "Bearer"}.items():
        answer = await exchange(client, subject, ACCESS_TOKEN_TYPE, clients[name].asked)
        assert answer.headers["WWW-Authenticate"] == (
            f'{scheme} realm="tokensvc", error="invalid_client"'
        )
        assert (await answer.json())["error_description"] == "the API key is not accepted"


async def test_a_client_that_is_refused_counts_against_no_limit(
    client, key, clients, connection, subtests
):
    subject = (await get_token(client, key))["access_token"]
    counted = "select minute_count from api_key_window where key_id = $1"
    before = await connection.fetchval(counted, key.listed.record.id)
    for name, shown in clients.items():
        if shown.refusal is None:
            continue
        with subtests.test(msg=name):
            await exchange(client, subject, ACCESS_TOKEN_TYPE, shown.asked)
    await exchange(client, subject, ACCESS_TOKEN_TYPE, Asked(), (("audience", "payroll"),))
    assert await connection.fetchval(counted, key.listed.record.id) == before


async def test_a_dead_token_beside_a_good_client_is_refused_as_a_token(client, key, clients):
    subject = (await get_token(client, key))["access_token"]
    await client.post("/v1/revoke", data={"token": subject})
    for name in ("the owner by Basic", "another key by Bearer"):
        answer = await exchange(client, subject, ACCESS_TOKEN_TYPE, clients[name].asked)
        assert (answer.status, (await answer.json())["error"]) == MALFORMED


async def test_a_network_that_guesses_clients_beside_a_good_token_is_suspected(
    started, settings, new_client, key, logs
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    subject = (await get_token(client, key))["access_token"]
    statuses = [
        (await exchange(client, subject, ACCESS_TOKEN_TYPE, bearer(new_api_key().text))).status
        for _ in range(3)
    ]
    assert statuses == [401, 401, 401]
    assert logs.find("network_suspected")
