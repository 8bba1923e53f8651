from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from testbed.waiting import until
from tests import endings
from tests.factories import make_claims, make_signing_key
from tests.integration.things import ACTOR, make_key, read_payload
from tests.rows import list_denylist, list_events
from tests.web.asking import get_token, try_token

from tokensvc.core.api_key import new_api_key
from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.claims import build_payload
from tokensvc.core.token import sign_jws
from tokensvc.store.feed_head import bump_head


async def test_a_token_is_revoked_by_showing_it(client, key, database, logs):
    token = read_payload(text := (await get_token(client, key))["access_token"])
    answer = await client.post(
        "/v1/revoke", data={"token": text, "token_type_hint": "access_token"}
    )
    assert (answer.status, await answer.text()) == (200, "{}")
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    (row,) = await list_denylist(database)
    assert (row.revocation.kind, row.revocation.value, row.revocation.upto) == (
        "jti",
        token["jti"],
        None,
    )
    assert row.revocation.exp == token["exp"] + 120
    (line,) = [line for line in logs.find("request") if line["route"] == "/v1/revoke"]
    assert (line["revoked"], line["id"]) == ("token", token["jti"])
    (event, *_) = await list_events(database, AuditFilter(subject=token["jti"]), most=10)
    assert (event.actor, event.operation, event.detail) == (
        "holder",
        "tokens.revoke",
        {"key": token["client_id"], "account": token["sub"]},
    )


async def test_an_api_key_is_revoked_by_showing_it_with_all_its_tokens(client, key, database):
    token = read_payload((await get_token(client, key))["access_token"])
    assert (await client.post("/v1/revoke", data={"token": key.key.text})).status == 200
    assert (await try_token(client, key)).status == 401
    (row,) = await list_denylist(database)
    assert (row.revocation.kind, row.revocation.value) == ("key", key.listed.record.id)
    assert row.revocation.upto >= token["iat"]
    assert row.revocation.exp >= token["exp"] + 120
    (event, *_) = await list_events(database, AuditFilter(subject=key.listed.record.id), most=1)
    assert (event.actor, event.operation, event.detail) == (
        "holder",
        "keys.revoke",
        {"reason": "holder"},
    )


async def test_who_revokes_together_is_told_apart_in_the_audit_trail(client, database):
    keys = [await make_key(database) for _ in range(12)]
    tokens = [(await get_token(client, key))["access_token"] for key in keys[:6]]
    shown = [*tokens, *(key.key.text for key in keys[6:])]
    await asyncio.gather(
        *(
            client.post(
                "/v1/revoke", data={"token": text}, headers={"X-Request-Id": f"request-{number}"}
            )
            for number, text in enumerate(shown)
        )
    )
    subjects = [
        *(read_payload(text)["jti"] for text in tokens),
        *(key.listed.record.id for key in keys[6:]),
    ]
    for number, subject in enumerate(subjects):
        (event, *_) = await list_events(database, AuditFilter(subject=subject), most=1)
        assert (event.address, event.request_id) == ("127.0.0.1", f"request-{number}")


async def test_the_audit_trail_may_keep_the_network_in_the_place_of_the_address(
    database, settings, started, new_client, key
):
    del started
    shortened = settings.model_copy(update={"address_detail": "network"})
    client = await new_client(shortened)
    await client.post("/v1/revoke", data={"token": key.key.text})
    (event, *_) = await list_events(database, AuditFilter(subject=key.listed.record.id), most=1)
    assert event.address == "127.0.0.0/24"


@pytest.mark.parametrize("what", ["token", "key"])
async def test_revoking_again_writes_nothing_more(what, client, key, database):
    text = key.key.text if what == "key" else (await get_token(client, key))["access_token"]
    statuses = [(await client.post("/v1/revoke", data={"token": text})).status for _ in range(3)]
    assert statuses == [200, 200, 200]
    assert len(await list_denylist(database)) == 1
    revocations = [
        event
        for event in await list_events(database, AuditFilter(), most=50)
        if event.operation.endswith(".revoke")
    ]
    assert len(revocations) == 1


async def test_revoking_one_token_many_times_at_once_is_safe(client, key, database):
    text = (await get_token(client, key))["access_token"]
    answers = await asyncio.gather(
        *(client.post("/v1/revoke", data={"token": text}) for _ in range(8))
    )
    assert [answer.status for answer in answers] == [200] * 8
    assert {row.revocation.value for row in await list_denylist(database)} == {
        read_payload(text)["jti"]
    }


async def test_a_narrowed_token_can_be_revoked_by_itself(client, key, database):
    original = (await get_token(client, key))["access_token"]
    narrowed = (await get_token(client, original))["access_token"]
    assert (await client.post("/v1/revoke", data={"token": narrowed})).status == 200
    assert [row.revocation.value for row in await list_denylist(database)] == [
        read_payload(narrowed)["jti"]
    ]
    assert (await get_token(client, original))["token_type"] == "Bearer"


async def test_what_is_not_ours_is_answered_as_if_it_had_been_revoked(
    client, database, logs, subtests
):
    forger, _, _ = make_signing_key()
    gone = await make_key(database)
    await endings.delete_key(database, gone.listed.record.id, actor=ACTOR)
    before = await list_denylist(database)
    for name, text in {
        "an unknown key": new_api_key().text,
        "a mistyped key": "tsk-" + "0" * 32,
        "a deleted key": gone.key.text,
        "a foreign token": sign_jws(build_payload(make_claims()), typ="at+jwt", key=forger),
        "junk": "no token at all",
    }.items():
        with subtests.test(msg=name):
            answer = await client.post("/v1/revoke", data={"token": text})
            assert (answer.status, await answer.text()) == (200, "{}")
            assert logs.find("request")[-1]["revoked"] == "nothing"
    assert await list_denylist(database) == before


async def test_revoking_nothing_is_a_malformed_request(client, subtests):
    for name, data in {
        "no parameter": None,
        "without a value": {"token": ""},
        "another parameter": {"tokens": "x"},
    }.items():
        with subtests.test(msg=name):
            answer = await client.post("/v1/revoke", data=data)
            assert (answer.status, await answer.json()) == (
                400,
                {
                    "error": "invalid_request",
                    "error_description": "token is required: the access token or API key to revoke",
                },
            )


async def test_a_revocation_that_must_wait_too_long_is_refused_and_can_be_repeated(
    client, key, connection, database
):
    text = (await get_token(client, key))["access_token"]
    async with connection.transaction():
        await connection.execute("select from feed_head where topic = 'denylist' for update")
        answer = await client.post("/v1/revoke", data={"token": text})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["error"] == "temporarily_unavailable"
    assert await list_denylist(database) == []
    assert (await client.post("/v1/revoke", data={"token": text})).status == 200
    assert len(await list_denylist(database)) == 1


async def test_a_token_that_a_patient_verifier_still_accepts_can_be_revoked(client, key, database):
    """Verifiers grant leeway after `exp`: what is accepted anywhere must be revocable."""
    text = (await get_token(client, key, expires_in="1"))["access_token"]
    await asyncio.sleep(2.1)
    assert (await client.post("/v1/revoke", data={"token": text})).status == 200
    assert [row.revocation.value for row in await list_denylist(database)] == [
        read_payload(text)["jti"]
    ]


async def test_f41_a_live_token_is_revoked_although_both_clocks_are_ahead(
    client, key, database, service
):
    text = (await get_token(client, key))["access_token"]
    postgres_clock, ahead = service.mirror.postgres_clock, timedelta(hours=1)
    async with service.mirror.refreshing:
        asked = postgres_clock.ask()
        wrong_at = postgres_clock.now + ahead
        postgres_clock.read_clock(wrong_at, asked._replace(wall=asked.wall + ahead.total_seconds()))
        postgres_clock.renew(wrong_at, asked.on)
        assert not postgres_clock.is_blocked
        assert (await client.post("/v1/revoke", data={"token": text})).status == 200
    assert [row.revocation.value for row in await list_denylist(database)] == [
        read_payload(text)["jti"]
    ]


# --- RFC 7009 to the letter -----------------------------------------------------------------------


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "api_key", "no such type"])
@pytest.mark.parametrize("what", ["token", "key"])
async def test_a_hint_never_hides_what_is_to_be_revoked(what, hint, client, key, database):
    """Section 2.1: a hint is a hint; section 2.2: an invalid one is ignored."""
    text = key.key.text if what == "key" else (await get_token(client, key))["access_token"]
    assert (
        await client.post("/v1/revoke", data={"token": text, "token_type_hint": hint})
    ).status == 200
    assert len(await list_denylist(database)) == 1


async def test_tokens_narrowed_from_a_revoked_one_are_dead_with_it(client, key, service):
    original = (await get_token(client, key))["access_token"]
    narrowed = (await get_token(client, original))["access_token"]
    assert await service.callers.introspection.find(narrowed) is not None
    await client.post("/v1/revoke", data={"token": original})
    assert await service.callers.introspection.find(narrowed) is None


async def test_a_token_that_is_dead_already_is_answered_as_if_it_had_been_revoked(
    client, service, key, database, connection
):
    text = (await get_token(client, key))["access_token"]
    await connection.execute("update signing_key set revoked_at = clock_timestamp()")
    await bump_head(connection, "signing_key")
    await service.mirror.refresh_once()
    answer = await client.post("/v1/revoke", data={"token": text})
    assert (answer.status, await answer.text()) == (200, "{}")
    assert await list_denylist(database) == []


async def test_a_token_that_stands_twice_is_a_malformed_request(client, key, database):
    text = (await get_token(client, key))["access_token"]
    answer = await client.post("/v1/revoke", data=[("token", text), ("token", "x")])
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")
    assert await list_denylist(database) == []


async def test_a_crowd_that_revokes_leaves_connections_for_what_must_go_on(
    client, service, key, database, connection
):
    """Rows that are held elsewhere keep every turn busy; the mirror goes on all the same.

    A caller that waits for too long is told so.
    """
    token = (await get_token(client, key))["access_token"]
    held = connection.transaction()
    await held.start()
    await connection.execute(
        "select from api_key_window where key_id = $1 for update", key.listed.record.id
    )
    crowd = [
        asyncio.create_task(client.post("/v1/revoke", data={"token": key.key.text}))
        for _ in range(30)
    ]
    waiting = "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
    async with database.connection() as watcher:
        await until(lambda: watcher.fetchval(waiting))
    junk = await client.post("/v1/revoke", data={"token": "junk"})
    assert junk.status == 200, "what is nothing of ours waits for nobody"
    await service.mirror.refresh_once()
    await held.rollback()
    answers = await asyncio.gather(*crowd)
    assert {answer.status for answer in answers} <= {200, 503}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 503)
    answer = await client.post("/v1/revoke", data={"token": token})
    assert answer.status == 200


@pytest.mark.usefixtures("fresh_minute")
@pytest.mark.parametrize("kind", ["unknown key", "key", "token"])
async def test_t39_what_is_dead_and_revoked_again_and_again_is_refused(
    kind, started, settings, new_client, database
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    key, other = await make_key(database), await make_key(database)
    text = new_api_key().text if kind == "unknown key" else key.key.text
    if kind == "token":
        text = (await get_token(client, key))["access_token"]
    statuses = [(await client.post("/v1/revoke", data={"token": text})).status for _ in range(3)]
    answer = await client.post("/v1/revoke", data={"token": text})
    assert (statuses, answer.status) == ([200] * 3, 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert (await answer.json())["error"] == "rate_limit_exceeded"
    live = (await get_token(client, other))["access_token"]
    for credential in (live, other.key.text):
        assert (await client.post("/v1/revoke", data={"token": credential})).status == 200
    assert (await try_token(client, other)).status == 401


@pytest.mark.usefixtures("fresh_minute")
@pytest.mark.parametrize("junk", ["junk", "a.b", "tsk-" + "0" * 32])
async def test_t39_junk_is_not_remembered_however_often_it_is_shown(
    junk, started, settings, new_client
):
    """There is no end to it, so it would push out the dead credentials that are remembered."""
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    for _ in range(4):
        assert (await client.post("/v1/revoke", data={"token": junk})).status == 200


async def test_t39_unknown_keys_of_a_suspected_network_cause_no_query_each(
    started, settings, new_client, database
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    key = await make_key(database)
    guesses = [new_api_key().text for _ in range(6)]
    answers = await asyncio.gather(
        *(client.post("/v1/revoke", data={"token": guess}) for guess in guesses)
    )
    assert {answer.status for answer in answers} == {200}
    assert (await client.post("/v1/revoke", data={"token": key.key.text})).status == 200
    assert (await try_token(client, key)).status == 401
