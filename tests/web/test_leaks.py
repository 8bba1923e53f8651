"""Reports of leaked keys over HTTP: open to everybody, and silent about what was found."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
from datetime import timedelta

import pytest
from testbed.waiting import PATIENCE
from tests import endings
from tests.integration.things import ACTOR, list_acts, make_key
from tests.rows import list_events
from tests.web.asking import get_token
from tests.web.operating import Caller, make_caller

from tokensvc.core.api_key import new_api_key
from tokensvc.core.audit_event import AuditFilter
from tokensvc.issuer.admin import api_keys
from tokensvc.web.app_keys import SERVICE, STRANGERS

REPORT = "POST /v1/leaks"
PLACE = "https://git.example/orders/blob/main/settings.py#L7"


@pytest.fixture
def stranger(client):
    """Somebody without a credential, who is not told to wait."""
    client.app[STRANGERS]._pause = 0.001
    return Caller(client, None)


async def report(stranger, *keys, **more):
    leaks = [{"key": key, "url": PLACE, "source": "commit"} | more for key in keys]
    return await stranger(REPORT, {"leaks": leaks})


async def find_state(client, key):
    """Return the state of a key as its own holder's admin sees it."""
    return (await api_keys_of(client, key))["state"]


async def api_keys_of(client, key):
    database = client.app[SERVICE].database
    admin, _ = await make_caller(client, database, "tokensvc:admin")
    return (await admin(f"GET /v1/keys/{key.listed.record.id}")).body


async def test_t48_a_reported_key_is_disabled_with_its_tokens_and_the_trail_says_who_did_it(
    client, database, service, stranger
):
    key = await make_key(database)
    token = (await get_token(client, key))["access_token"]
    answer = await report(stranger, key.key.text)
    assert (answer.status, answer.body) == (202, {"received": 1, "malformed": 0})
    assert await find_state(client, key) == "disabled"
    assert (await Caller(client, key.key.text)("POST /v1/token")).status == 401
    assert await service.callers.introspection.find(token) is None
    (event,) = await list_events(
        database, AuditFilter(subject=key.listed.record.id, operation="leaks.report"), most=5
    )
    assert (event.actor, event.address) == ("leak-report", "127.0.0.1")
    assert event.detail == {"ending": "key_disabled"}


async def test_the_policy_may_be_to_revoke(
    client, settings, new_client, database, unused_tcp_port_factory
):
    revoking = settings.model_copy(
        update={"leaked_keys": "revoke", "port": unused_tcp_port_factory()}
    )
    other = await new_client(revoking)
    other.app[STRANGERS]._pause = 0.001
    key = await make_key(database)
    await report(Caller(other, None), key.key.text)
    assert await find_state(client, key) == "revoked"


async def test_t49_known_and_unknown_keys_get_the_same_answer_at_the_same_time(client, database):
    strangers = client.app[STRANGERS]
    strangers._pause = strangers._late_answers._pause = 0.3
    stranger, key = Caller(client, None), await make_key(database)
    ended = await make_key(database)
    await endings.revoke_key(database, ended.listed.record.id, actor=ACTOR)
    seen = []
    for text in (key.key.text, new_api_key().text, key.key.text, ended.key.text):
        began_on = time.monotonic()
        answer = await report(stranger, text)
        took = time.monotonic() - began_on
        assert took >= 0.3
        headers = {
            name: text for name, text in answer.headers.items() if name.lower() != "x-request-id"
        }
        headers.pop("Date")
        seen.append((answer.status, answer.body, headers))
    assert seen == [seen[0]] * len(seen)


async def test_t50_what_is_no_key_by_its_form_never_reaches_postgres(stranger, connection):
    good = new_api_key().text
    wrong = good[:-1] + ("a" if good[-1] != "a" else "b")
    await connection.execute("alter function report_leaks rename to gone")
    answer = await report(stranger, wrong, "tsk-", "", "\u00e9" * 40, good.replace("-", "_"))
    assert (answer.status, answer.body) == (202, {"received": 5, "malformed": 5})


async def test_a_report_as_github_sends_it_is_understood(client, database, stranger):
    key = await make_key(database)
    body = [{"token": key.key.text, "type": "tokensvc_api_key", "url": PLACE, "source": "content"}]
    answer = await stranger(REPORT, body)
    assert (answer.status, answer.body["received"]) == (202, 1)
    assert await find_state(client, key) == "disabled"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {}, 400, "invalid_input"),
        (b'{"leaks": []}', {}, 400, "invalid_input"),
        (json.dumps({"leaks": [{"key": "x"}] * 1001}).encode(), {}, 400, "invalid_input"),
        (b'{"leaks": [{"key": 7}]}', {}, 400, "invalid_input"),
        (b'{"leaks": [{"url": "x"}]}', {}, 400, "invalid_input"),
        (b'{"leaks": [{"key": "x", "more": 1}]}', {}, 400, "invalid_input"),
        (b'"x"', {}, 400, "invalid_input"),
        (b"nonsense", {}, 400, "invalid_input"),
        (b'{"leaks": ["' + b"x" * 1024 * 1024 + b'"]}', {}, 413, "content_too_large"),
        (gzip.compress(b"{}"), {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        (b"leaks=x", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ],
    ids=["empty", "none", "1001", "number", "no key", "more", "text", "no json", "huge", "gzip",
         "plain"],
)  # fmt: skip
async def test_a_bad_report_says_what_is_wrong(stranger, body, headers, status, code):
    headers = {"Content-Type": "application/json"} | headers
    answer = await stranger(REPORT, data=io.BytesIO(body), headers=headers)
    assert (answer.status, answer.code) == (status, code)


async def test_a_thousand_keys_are_one_report(client, database, stranger):
    keys = [await make_key(database) for _ in range(3)]
    texts = [new_api_key().text for _ in range(997)] + [key.key.text for key in keys]
    assert (await report(stranger, *texts)).body == {"received": 1000, "malformed": 0}
    assert {await find_state(client, key) for key in keys} == {"disabled"}


async def test_t51_a_network_that_reports_too_often_is_told_to_wait(
    client, settings, new_client, unused_tcp_port_factory, fresh_minute
):
    del client, fresh_minute
    few = settings.model_copy(
        update={"leak_reports_per_minute": 2, "port": unused_tcp_port_factory()}
    )
    other = await new_client(few)
    other.app[STRANGERS]._pause = 0.001
    stranger = Caller(other, None)
    answers = [await report(stranger, "junk") for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[-1].code == "rate_limit_exceeded"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


async def test_too_many_reports_at_once_are_refused_before_they_do_anything(client, monkeypatch):
    strangers = client.app[STRANGERS]
    monkeypatch.setattr("tokensvc.web.operations.strangers._LONGEST_WAIT_SECONDS", 0.01)
    strangers._free = asyncio.Semaphore(0)
    assert (await report(Caller(client, None), "junk")).status == 503


async def test_a_credential_that_is_shown_is_not_looked_at(client, stranger):
    del stranger
    assert (await report(Caller(client, "nonsense"), "junk")).status == 202


async def test_where_a_key_was_found_and_how_it_was_used_since_is_kept_with_it(
    client, database, service, stranger
):
    owner, own = await make_caller(client, database, "tokensvc:keys")
    key = await make_key(database, account=own.listed.record.account_id)
    key_id = key.listed.record.id
    before = (await owner(f"GET /v1/leaks?key={key_id}")).body
    assert (before["leaked_at"], before["places"], before["issued_since"]) == (None, [], 0)
    await get_token(client, key)
    await report(stranger, key.key.text)
    await report(stranger, key.key.text, url="", source="log  f\u00fcr\n" + "x" * 200)
    await report(stranger, key.key.text)
    async with asyncio.timeout(PATIENCE):  # the service may be writing it already
        while not (told := (await owner(f"GET /v1/leaks?key={key_id}")).body)["issued_since"]:
            await service.exchange.usage.flush_once()
    assert [(place["url"], place["source"][:16]) for place in told["places"]] == [
        (PLACE, "commit"), ("", "log%20%20f%C3%BCr%0A"[:16]),
    ]  # fmt: skip
    assert told["leaked_at"] == told["places"][0]["reported_at"]
    assert (told["issued_since"], told["last_used"]["network"]) == (1, "127.0.0.0/24")
    assert await list_acts(database, key_id) == ["keys.create", "leaks.report", "leaks.report"]


async def test_a_key_in_the_url_of_a_report_is_stored_nowhere(
    client, database, stranger, connection
):
    del client
    key = await make_key(database)
    await report(stranger, key.key.text, url=f"https://x.example/?key={key.key.text}")
    (url,) = [row["url"] for row in await connection.fetch("select url from key_leak")]
    assert url.startswith("https://x.example/?key=")
    assert key.key.text not in url


async def test_a_key_is_reported_again_after_it_was_enabled(client, database, stranger):
    key = await make_key(database)
    await report(stranger, key.key.text)
    await api_keys.enable_key(database, key.listed.record.id, actor=ACTOR)
    await report(stranger, key.key.text)
    assert await find_state(client, key) == "disabled"


async def test_no_more_than_fifty_places_are_kept(client, database, stranger, connection):
    del client
    key = await make_key(database)
    for part in range(2):
        leaks = [{"key": key.key.text, "url": f"{part}/{n}"} for n in range(40)]
        await stranger(REPORT, {"leaks": leaks})
    assert await connection.fetchval("select count(*) from key_leak") == 50


async def test_the_successor_that_a_leaked_key_has_made_ends_too_unless_the_key_is_over(
    client, database, stranger, connection, subtests
):
    for name, sql, state in (
        ("good", None, "disabled"),
        ("expired", "update api_key set expires_at = clock_timestamp() where id = $1", "active"),
    ):
        with subtests.test(msg=name):
            key = await make_key(database, life=timedelta(days=1))
            made = await Caller(client, key.key.text)("POST /v1/keys/self/rotate", {"grace": 60})
            if sql:
                await connection.execute(sql, key.listed.record.id)
            await report(stranger, key.key.text)
            admin, _ = await make_caller(client, database, "tokensvc:admin")
            shown = (await admin(f"GET /v1/keys/{made.body['id']}")).body
            assert shown["state"] == state
            if state == "disabled":
                events = await list_events(database, AuditFilter(subject=made.body["id"]), most=1)
                assert events[0].operation == "keys.disable"  # nobody has found this one
                assert events[0].detail == {"with_predecessor": key.listed.record.id}
                assert await list_acts(database, key.listed.record.id) == [
                    "keys.create", "keys.rotate-self", "leaks.report",
                ]  # fmt: skip


async def test_reports_that_cross_each_other_end_without_a_deadlock(client, database, stranger):
    keys = [await make_key(database) for _ in range(6)]
    texts = [key.key.text for key in keys]
    answers = await asyncio.gather(
        *(report(stranger, *(texts if turn % 2 else texts[::-1]), url=f"{turn}") for turn in
          range(8))
    )  # fmt: skip
    assert {answer.status for answer in answers} == {202}
    assert {await find_state(client, key) for key in keys} == {"disabled"}


async def test_a_report_that_cannot_be_carried_out_is_refused_and_may_be_repeated(
    client, database, stranger, connection
):
    key = await make_key(database)
    await connection.execute("alter function report_leaks rename to gone")
    assert (await report(stranger, key.key.text)).status >= 500
    await connection.execute("alter function gone rename to report_leaks")
    assert (await report(stranger, key.key.text)).status == 202
    assert await find_state(client, key) == "disabled"
