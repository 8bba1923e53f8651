"""Who may call what: every operation of the table, and every kind of caller."""

from __future__ import annotations

import asyncio

import pytest
from tests import endings
from tests.factories import make_signing_key
from tests.integration.things import ACTOR, make_key, make_refused_keys, read_payload
from tests.web.asking import get_own_token, get_token
from tests.web.operating import Caller
from tests.web.rights_matrix import ACCOUNT, CALLERS, EVERYBODY, FRESH, KEY, KEYS, MATRIX, Things

from tokensvc.core.token import sign_jws
from tokensvc.operations.table import OPERATIONS


@pytest.fixture
def settings(settings):
    """So many calls are refused here that refusals would come late, and dead credentials wait."""
    return settings.model_copy(
        update={"refusals_per_minute": 1_000_000, "unknown_keys_per_minute": 1_000_000}
    )


async def call(caller, name, /, **other):
    """Call an operation with the request of its row, of which `other` changes some fields."""
    operation = OPERATIONS[name]
    request = MATRIX[name].request | other
    path = operation.path.format(**request)
    rest = {field: v for field, v in request.items() if field not in operation.path_parameters}
    if operation.method == "GET":
        return await caller(f"GET {path}", params=rest)
    return await caller(f"{operation.method} {path}", rest)


def test_every_operation_has_a_row_and_no_row_lacks_an_operation():
    assert sorted(MATRIX) == sorted(OPERATIONS)


def test_a_row_names_each_thing_of_an_account_that_an_owner_may_name():
    for name, intended in MATRIX.items():
        if KEYS in intended.passes and intended.passes != EVERYBODY and name != "keys.batch":
            fields = OPERATIONS[name].request.model_fields
            things = {field for field in fields if field in {"id", "key", "account"}}
            if name.startswith("notice-"):
                things -= {"id"}  # tests of notices try those of others
            assert things == ({intended.names} if intended.names else set()), name


def test_nobody_needs_a_credential_for_these_alone():
    assert [one.name for one in OPERATIONS.values() if one.is_open] == ["leaks.report"]


# What is shown to every operation. All others are read by the same code.
EVERYWHERE = (
    "nothing", "expired token", "revoked token", "token for another audience",
    "token of a revoked key", "revoked key",
)  # fmt: skip


async def make_bad_credentials(client, database, service, connection):
    """Return what must not be taken, by kind."""
    able = ("tokensvc:admin", "orders:read")
    key = await make_key(database, capabilities=able)
    good = await get_own_token(client, key, "tokensvc:admin")
    keys = await make_refused_keys(database, connection, capabilities=able)
    revoked = await make_key(database, capabilities=able)
    of_revoked = await get_own_token(client, revoked, "tokensvc:admin")
    await endings.revoke_key(database, revoked.listed.record.id, actor=ACTOR)
    suspended = await make_key(database, capabilities=able)
    of_suspended = await get_own_token(client, suspended, "tokensvc:admin")
    await endings.suspend_account(database, suspended.listed.record.account_id, actor=ACTOR)
    denied = await get_own_token(client, key, "tokensvc:admin")
    await client.post("/v1/revoke", data={"token": denied})
    elsewhere = await make_key(database, capabilities=able, networks=["192.0.2.0/24"])
    header, payload, _ = good.split(".")
    return {
        "nothing": None,
        "expired token": change(service, good, iat=-7200, exp=-7200, auth_time=-7200),
        "token for another audience": (await get_token(client, key))["access_token"],
        "token of a revoked key": of_revoked,
        "token of a suspended account": of_suspended,
        "revoked token": denied,
        "token signed by a stranger": sign_jws(
            read_payload(good), typ="at+jwt", key=make_signing_key()[0]
        ),
        "token of another kind": sign_jws(
            read_payload(good), typ="denylist+jwt", key=find_signer(service)
        ),
        "token without its signature": f"{header}.{payload}.",
        "key that may not be used here": elsewhere.key.text,
        "text that is no key": key.key.text[:-1] + ("0" if key.key.text[-1] != "0" else "1"),
        **{f"{reason} key": refused.key.text for reason, refused in keys.items()},
    }


async def test_who_shows_nothing_good_may_call_nothing(
    client, database, service, connection, subtests
):
    kinds = await make_bad_credentials(client, database, service, connection)
    tries = [(kind, name) for kind in EVERYWHERE for name in MATRIX if not OPERATIONS[name].is_open]
    # Answers to who is refused often come late, so they are waited for together.
    answers = await asyncio.gather(
        *(call(Caller(client, kinds[kind]), name) for kind, name in tries)
    )
    for (kind, name), answer in zip(tries, answers, strict=True):
        with subtests.test(msg=f"{kind}: {name}"):
            assert answer.status == 401


async def test_no_other_bad_credential_is_taken(client, database, service, connection, subtests):
    kinds = await make_bad_credentials(client, database, service, connection)
    for kind in kinds.keys() - set(EVERYWHERE):
        for name in ("whoami.show", "keys.create"):
            with subtests.test(msg=f"{kind}: {name}"):
                assert (await call(Caller(client, kinds[kind]), name)).status == 401


async def test_head_needs_what_get_needs(client):
    for name, operation in OPERATIONS.items():
        if operation.method == "GET":
            path = operation.path.format(**MATRIX[name].request)
            assert (await Caller(client, None)(f"HEAD {path}")).status == 401


@pytest.mark.parametrize("kind", CALLERS)
async def test_t30_exactly_the_intended_callers_pass(client, database, service, subtests, kind):
    key = await make_key(database, capabilities=(CALLERS[kind],))
    caller = Caller(client, key.key.text)
    things = await make_things(client, service, kind, key)
    for name, intended in MATRIX.items():
        with subtests.test(msg=name):
            if kind in intended.passes:
                answer = await call(caller, name, **await things.build_request(name))
                assert answer.status < 300, answer.body
            else:
                answer = await call(caller, name)
                assert (answer.status, answer.code) == (403, "insufficient_scope")
                assert "keys" not in answer.body["detail"]


@pytest.mark.parametrize("kind", CALLERS)
async def test_a_token_may_call_what_it_was_narrowed_to_whatever_its_key_holds(
    client, database, service, subtests, kind
):
    key = await make_key(database, capabilities=tuple(CALLERS.values()))
    caller = Caller(client, await get_own_token(client, key, CALLERS[kind]))
    things = await make_things(client, service, kind, key)
    for name, intended in MATRIX.items():
        with subtests.test(msg=name):
            if name == "keys.rotate-self":
                answer = await call(caller, name)
                assert (answer.status, answer.code) == (403, "forbidden")
            elif kind in intended.passes:
                answer = await call(caller, name, **await things.build_request(name))
                assert answer.status < 300, answer.body
            else:
                answer = await call(caller, name)
                assert (answer.status, answer.code) == (403, "insufficient_scope")


@pytest.mark.parametrize("name", ["accounts.create", "notice-endpoints.create", "keys.disable"])
async def test_t30_a_token_changes_nothing_by_a_right_that_its_key_has_lost(
    client, database, service, connection, name
):
    key = await make_key(database, capabilities=("tokensvc:admin", "tokensvc:read"))
    caller = Caller(client, await get_own_token(client, key, "tokensvc:admin tokensvc:read"))
    things = Things(service.backend, None, await get_own_token(client, key, "tokensvc:admin"))
    request = await things.build_request(name)
    await connection.execute(
        "update api_key set capabilities = '{tokensvc:read}' where id = $1", key.listed.record.id
    )
    answer = await call(caller, name, **request)
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert (await call(caller, "keys.list")).status == 200


async def make_things(client, service, kind, key):
    """Return what makes the things that a caller may name: an owner only those of its account."""
    account = key.listed.record.account_id if kind == KEYS else None
    return Things(service.backend, account, await get_own_token(client, key, CALLERS[kind]))


async def test_exactly_what_must_be_fresh_refuses_a_key_shown_long_ago(
    client, database, service, subtests
):
    key = await make_key(database, capabilities=("tokensvc:admin",))
    token = await get_own_token(client, key, "tokensvc:admin")
    stale, fresh = Caller(client, change(service, token, auth_time=-601)), Caller(client, token)
    for name, intended in MATRIX.items():
        with subtests.test(msg=name):
            for caller in (stale, fresh):
                answer = await call(caller, name)
                refused = answer.status == 401
                assert refused == (caller is stale and FRESH in intended.passes)


def change(service, token, **by):
    """Return the token as the service would have made it with other times."""
    payload = read_payload(token)
    moved = {name: payload[name] + seconds for name, seconds in by.items()}
    return sign_jws(payload | moved, typ="at+jwt", key=find_signer(service))


def find_signer(service):
    return service.mirror.signers.find("ES256", service.mirror.postgres_clock.now)


async def test_t30_a_thing_of_another_account_is_as_one_that_does_not_exist(
    client, database, subtests
):
    key = await make_key(database, capabilities=("tokensvc:keys",))
    other = (await make_key(database, capabilities=("tokensvc:keys",))).listed.record
    caller = Caller(client, key.key.text)
    for name, intended in MATRIX.items():
        if intended.names is not None and KEYS in intended.passes:
            is_account = name.startswith("accounts.") or intended.names == "account"
            foreign, unknown = (other.account_id, ACCOUNT) if is_account else (other.id, KEY)
            with subtests.test(msg=name):
                answers = [
                    await call(caller, name, **{intended.names: thing})
                    for thing in (foreign, unknown)
                ]
                seen = [
                    (answer.status, str(answer.body | {"request_id": ""}), sorted(answer.headers))
                    for answer in answers
                ]
                assert seen[0][0] == 404
                assert seen[0][1].replace(foreign, unknown) == seen[1][1]
                assert seen[0][2] == seen[1][2]
