"""T42: whoever can write the database cannot publish a signing key of their own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY
from tests.factories import make_claims, make_signing_key
from tests.integration.things import ACTOR, make_key, open_exchange

from tokensvc.core.claims import build_payload
from tokensvc.core.errors import ConflictError, InvalidTokenError, StartRefusedError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.jwks import parse_jwks
from tokensvc.core.token import parse_unverified, sign_jws
from tokensvc.core.verification import check_own_token
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.revoking.credentials import revoke_own_token
from tokensvc.issuer.revoking.introspection import describe_token
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.import_export import load_public_key
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.signing.rotation import Urgency, rotate_once
from tokensvc.issuer.start import initialise

FORGER, FORGED, FORGED_JWK = make_signing_key()
CHANGE = "update signing_key set public_jwk = $2 where kid = $1"
INSERT = (
    "insert into signing_key (kid, alg, public_jwk, sealed_private_key, created_at, active_at) "
    "select $1, 'ES256', $2, sealed_private_key, created_at, $3::timestamptz "
    "from signing_key limit 1"
)


@pytest.fixture
async def mirror(database, settings, started):
    made = Mirror(database, settings, started.master_key)
    await made.refresh_once()
    return made


@pytest.fixture
async def kids(database, settings, started):
    """The signing keys by phase, with one that retires."""
    await rotate_once(
        database, settings, started.master_key, actor=ACTOR, urgency=Urgency(at_once=True)
    )
    return {
        listed.phase: listed.record.kid
        for listed in await list_signing_keys_with_phase(database, settings)
    }


async def write(connection, statement, *arguments):
    """Change the table of signing keys as somebody may who can write the database."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
    await connection.execute(statement, *arguments)
    await connection.execute("update feed_head set seq = seq + 1 where topic = 'signing_key'")


def forge(kid, settings, mirror):
    """A token that the forger signed under the kid of another key."""
    now = int(mirror.postgres_clock.now.timestamp())
    claims = make_claims(iss=settings.issuer_url, iat=now, exp=now + 600)
    key = type(FORGER)(kid, "ES256", FORGER.private_key)
    return sign_jws(build_payload(claims), typ="at+jwt", key=key)


@pytest.mark.parametrize("phase", ["pending", "active", "retiring"])
async def test_t42_a_changed_public_key_is_not_published_and_the_service_goes_on(
    phase, kids, mirror, database, settings, started, connection, logs
):
    kid = kids[phase]
    await mirror.refresh_once()
    good = parse_jwks(mirror.signers.jwks)
    assert len(good) == 3
    await write(connection, CHANGE, kid, FORGED_JWK | {"kid": kid})
    await mirror.refresh_once()
    published = parse_jwks(mirror.signers.jwks)
    assert published.keys() == good.keys()
    assert published[kid].key != FORGED.key
    (line,) = logs.find("signing_key_refused")
    assert (line["level"], line["reason"]) == ("error", "signing_key_changed")
    assert kid in line["detail"]
    assert REGISTRY.get_sample_value("tokensvc_signing_keys_refused") == 1
    with pytest.raises(InvalidTokenError):
        check_own_token(
            parse_unverified(forge(kid, settings, mirror)),
            mirror.signers.records,
            issuer=settings.issuer_url,
            now=mirror.postgres_clock.now.timestamp(),
        )
    exchange = replace(await open_exchange(database, settings, started), mirror=mirror)
    request = ExchangeRequest(credential=(await make_key(database)).key)
    assert (await exchange.issue(request, "test")).text
    await exchange.ledger.close()


async def test_t42_a_signing_key_that_somebody_puts_in_is_neither_published_nor_signs(
    mirror, settings, connection, logs
):
    before = mirror.signers.jwks
    now = mirror.postgres_clock.now
    for kid, jwk in ((FORGED_JWK["kid"], FORGED_JWK), ("x", FORGED_JWK | {"kid": "x"})):
        await write(connection, INSERT, kid, jwk, now)
        await mirror.refresh_once()
        assert mirror.signers.jwks == before
        assert mirror.signers.find("ES256", mirror.postgres_clock.now).kid != kid
        with pytest.raises(InvalidTokenError, match="access token"):
            check_own_token(
                parse_unverified(forge(kid, settings, mirror)),
                mirror.signers.records,
                issuer=settings.issuer_url,
                now=now.timestamp(),
            )
    assert logs.find("signing_key_refused")


@pytest.mark.parametrize("phase", ["pending", "active", "retiring"])
async def test_t42_a_changed_row_refuses_the_start_until_that_key_is_revoked(
    phase, kids, database, settings, connection
):
    kid = kids[phase]
    await write(connection, CHANGE, kid, FORGED_JWK | {"kid": kid})
    with pytest.raises(StartRefusedError, match=f"signing key {kid} was changed"):
        await initialise(database, settings)
    with pytest.raises(StartRefusedError, match=f"signing key {kid} was changed"):
        await load_master_key(database, settings)
    master_key = await load_master_key(database, settings, tolerate_changed=True)
    await revoke_signing_key_now(database, settings, master_key, kid, actor=ACTOR)
    await initialise(database, settings)


async def test_t42_an_operator_is_not_told_that_a_forged_token_is_live(
    kids, mirror, database, settings, connection
):
    kid = kids["pending"]
    await write(connection, CHANGE, kid, FORGED_JWK | {"kid": kid})
    forged = forge(kid, settings, mirror)
    assert (await describe_token(database, settings, forged)).state == "invalid"
    assert await revoke_own_token(database, settings, forged, actor=ACTOR) is None
    with pytest.raises(ConflictError, match="was changed"):
        await load_public_key(database, kid)


async def test_a_rotation_goes_on_beside_a_changed_row(
    kids, database, settings, started, connection
):
    await write(connection, CHANGE, kids["retiring"], FORGED_JWK | {"kid": kids["retiring"]})
    plan = await rotate_once(
        database, settings, started.master_key, actor=ACTOR, urgency=Urgency(asked=True)
    )
    assert plan is not None
    assert plan.kid == kids["pending"]


async def test_a_row_that_is_put_right_again_is_taken_again(
    kids, mirror, settings, connection, logs
):
    del settings
    await mirror.refresh_once()
    kid = kids["pending"]
    jwk = next(r.public_jwk for r in mirror.signers.records if r.kid == kid)
    for written in (FORGED_JWK | {"kid": kid}, jwk):
        await write(connection, CHANGE, kid, written)
        await mirror.refresh_once()
    assert len(logs.find("signing_key_refused")) == 1
    assert REGISTRY.get_sample_value("tokensvc_signing_keys_refused") == 0
