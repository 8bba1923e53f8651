"""Signing keys: revoked, imported, exported, and of several algorithms."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from tests.integration.things import ACTOR, age_signing_keys, make_key, open_exchange, read_header
from tests.rows import list_denylist, list_events

from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.errors import ConflictError, NotFoundError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.private_key import new_private_key
from tokensvc.issuer.admin import audiences
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.import_export import (
    export_private_key,
    import_signing_key,
    load_public_key,
)
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.issuer.signing.rotation import Urgency, rotate_all_once, rotate_once


@pytest.fixture
async def mirror(new_mirror):
    return await new_mirror()


async def phases(database, settings, alg="ES256"):
    return {
        listed.record.kid: listed.phase
        for listed in await list_signing_keys_with_phase(database, settings)
        if listed.record.alg == alg
    }


async def of_phase(database, settings, phase):
    found = await phases(database, settings)
    (kid,) = [kid for kid in found if found[kid] == phase]
    return kid


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


async def test_f35_t26_a_compromised_key_is_revoked_and_succeeded_in_one_transaction(
    database, settings, started, mirror
):
    signer = await of_phase(database, settings, "active")
    standby = await of_phase(database, settings, "pending")
    before = mirror.denylist.log.head
    plan = await revoke_signing_key_now(
        database, settings, started.master_key, signer, actor=ACTOR, reason="lost laptop"
    )
    assert plan is not None
    assert (plan.kid, plan.new_standby) == (standby, True)
    found = await phases(database, settings)
    assert (found[signer], found[standby]) == ("revoked", "active")
    assert sorted(found.values()) == ["active", "pending", "revoked"]
    (row,) = await list_denylist(database)
    assert (row.revocation.kind, row.revocation.value) == ("kid", signer)
    assert row.revocation.exp - row.created_at.timestamp() > 86_000
    await mirror.refresh_once()
    assert mirror.denylist.log.head != before
    assert mirror.signers.find("ES256", mirror.postgres_clock.now).kid == standby
    assert signer not in mirror.signers.jwks.decode()
    events = {
        event.operation: event
        for event in await list_events(database, AuditFilter(subject=signer), most=10)
    }
    assert events["signing-keys.revoke"].detail == {"reason": "lost laptop"}


async def test_revoking_again_changes_nothing_and_an_unknown_key_is_not_found(
    database, settings, started
):
    signer = await of_phase(database, settings, "active")
    await revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR)
    after = await phases(database, settings)
    again = await revoke_signing_key_now(
        database, settings, started.master_key, signer, actor=ACTOR
    )
    assert again is None
    assert await phases(database, settings) == after
    assert len(await list_denylist(database)) == 1
    with pytest.raises(NotFoundError):
        await revoke_signing_key_now(database, settings, started.master_key, "gone", actor=ACTOR)


async def test_a_stolen_standby_is_replaced_and_on_the_denylist_too(database, settings, started):
    standby = await of_phase(database, settings, "pending")
    plan = await revoke_signing_key_now(
        database, settings, started.master_key, standby, actor=ACTOR
    )
    assert plan is not None
    assert (plan.kid, plan.new_standby) == (None, True)
    assert sorted((await phases(database, settings)).values()) == ["active", "pending", "revoked"]
    assert [row.revocation.value for row in await list_denylist(database)] == [standby]


async def test_replicas_that_revoke_and_rotate_at_once_leave_one_signer_and_one_standby(
    database, settings, started
):
    for _ in range(10):
        signer = await of_phase(database, settings, "active")
        await asyncio.gather(
            revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR),
            revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR),
            rotate_all_once(database, settings, started.master_key, actor=ACTOR),
        )
        found = await phases(database, settings)
        usable = sorted(phase for phase in found.values() if phase != "revoked")
        assert usable == ["active", "pending"]


async def test_a_rotation_at_once_is_refused_while_it_is_unsafe_and_audited_when_forced(
    database, settings, started
):
    async def rotate(urgency):
        return await rotate_once(
            database, settings, started.master_key, actor=ACTOR, urgency=urgency
        )

    first = await rotate(Urgency(at_once=True))
    assert first is not None, "the first standby is in every cache"
    unsafe = r"safe to sign from .* refuse good tokens for up to \d+ s"
    with pytest.raises(ConflictError, match=unsafe):
        await rotate(Urgency(at_once=True))
    forced = await rotate(Urgency(at_once=True, force=True))
    assert forced is not None
    assert forced.kid == await of_phase(database, settings, "active")
    events = await list_events(database, AuditFilter(subject=forced.kid), most=5)
    (event,) = [event for event in events if event.operation == "signing-keys.rotate"]
    assert 900 < event.detail["unsafe_for_seconds"] <= 960


async def test_an_audience_is_served_by_the_default_algorithm_until_its_own_is_in_every_cache(
    database, settings, started, connection
):
    await audiences.create_audience(database, settings, "legacy", alg="RS256", actor=ACTOR)
    await rotate_all_once(database, settings, started.master_key, actor=ACTOR)
    assert sorted((await phases(database, settings, "RS256")).values()) == ["pending", "pending"]
    exchange = await open_exchange(database, settings, started)
    key = await make_key(database)

    async def alg(audience="legacy"):
        await exchange.mirror.refresh_once()
        request = ExchangeRequest(credential=key.key, audience=audience)
        return read_header((await exchange.issue(request, "test")).text)["alg"]

    assert await alg() == "ES256"
    await age_signing_keys(connection, settings.rotation_policy(timedelta(0)).lead)
    await connection.execute("update feed_head set tag = 'aged' where topic = 'signing_key'")
    assert (await alg(), await alg("api")) == ("RS256", "ES256")
    await audiences.update_audience(
        database, settings, "legacy", description=None, token_life=None, alg="EdDSA", actor=ACTOR
    )
    assert await alg() == "ES256"
    kinds = [jwk["kty"] for jwk in json.loads(exchange.mirror.signers.jwks)["keys"]]
    assert kinds == ["EC", "EC", "RSA", "RSA"], "EC keys stand first"
    await exchange.ledger.close()


async def test_the_loop_goes_on_between_rsa_signatures(database, settings, started, connection):
    await audiences.create_audience(database, settings, "legacy", alg="RS256", actor=ACTOR)
    await rotate_all_once(database, settings, started.master_key, actor=ACTOR)
    await age_signing_keys(connection, timedelta(days=1))
    exchange = await open_exchange(database, settings, started)
    key = await make_key(database, per_minute=100_000)
    request = ExchangeRequest(credential=key.key, audience="legacy")
    rounds, ended_in = 0, set()

    async def count_rounds():
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    async def issue():
        token = await exchange.issue(request, "test")
        ended_in.add(rounds)
        return read_header(token.text)["alg"]

    counter = asyncio.create_task(count_rounds())
    algorithms = await asyncio.gather(*(issue() for _ in range(200)))
    counter.cancel()
    assert set(algorithms) == {"RS256"}
    between = max(ended_in) - min(ended_in)
    assert between >= 10, "signed by the loop itself, a whole batch ends in one round"
    await exchange.ledger.close()


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_an_imported_key_takes_the_place_of_the_standby_and_signs_after_the_next_rotation(
    alg, database, settings, started, connection
):
    private_key = new_private_key(alg)
    imported = await import_signing_key(
        database, settings, started.master_key, pem(private_key), actor=ACTOR
    )
    assert (imported.alg, (await phases(database, settings, alg))[imported.kid]) == (alg, "pending")
    assert sorted((await phases(database, settings)).values()).count("pending") == 1
    with pytest.raises(ConflictError, match="is there already"):
        await import_signing_key(
            database, settings, started.master_key, pem(private_key), actor=ACTOR
        )
    await age_signing_keys(connection, timedelta(days=1))
    await rotate_once(
        database, settings, started.master_key, alg=alg, actor=ACTOR, urgency=Urgency(asked=True)
    )
    assert (await phases(database, settings, alg))[imported.kid] == "active"
    exported = await export_private_key(database, started.master_key, imported.kid, actor=ACTOR)
    assert exported == pem(private_key)
    (event,) = await list_events(database, AuditFilter(subject=imported.kid), most=1)
    assert event.operation == "signing-keys.export"
    jwk, public = await load_public_key(database, imported.kid)
    assert (jwk["alg"], "d" in jwk) == (alg, False)
    assert public.startswith(b"-----BEGIN PUBLIC KEY")


async def test_nothing_is_imported_while_a_rotation_is_planned_and_a_revoked_key_does_not_leave(
    database, settings, started
):
    for _ in range(2):
        await rotate_once(
            database, settings, started.master_key, actor=ACTOR, urgency=Urgency(asked=True)
        )
    with pytest.raises(ConflictError, match="a rotation is planned"):
        await import_signing_key(
            database, settings, started.master_key, pem(new_private_key("ES256")), actor=ACTOR
        )
    signer = await of_phase(database, settings, "active")
    await revoke_signing_key_now(database, settings, started.master_key, signer, actor=ACTOR)
    with pytest.raises(ConflictError, match="is revoked"):
        await export_private_key(database, started.master_key, signer, actor=ACTOR)
