"""A token can be written in several ways. All of them are revoked together."""

from __future__ import annotations

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.simulator import reason_of, simulated
from tests.unit.verify.forging import open_world, other_last_letter, twin


@pytest.mark.parametrize(
    "rewrite",
    [twin, other_last_letter, lambda token: token],
    ids=["(r, n-s)", "last letter", "as it is"],
)
@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "never seen"])
@simulated
async def test_t9_a_revoked_token_stays_revoked_however_it_is_written(rewrite, seen):
    async with open_world() as world:
        token, claims = world.issuer.issue()
        if seen:
            assert world.verifier.verify(token) == world.verifier.verify(rewrite(token)) == claims
        world.issuer.add_revocation("jti", claims.jti)
        await asyncio.sleep(0.1)
        for text in (token, rewrite(token)):
            assert reason_of(world.verifier, text) == "revoked_jti"


@pytest.mark.parametrize("around", ["{}=", "{}==", " {}", "{} ", "{}\n", "{}\0"])
@simulated
async def test_t9_a_revoked_token_with_something_around_it_is_refused(around):
    async with open_world() as world:
        token, claims = world.issuer.issue()
        world.issuer.add_revocation("jti", claims.jti)
        await asyncio.sleep(0.1)
        assert reason_of(world.verifier, around.format(token)) == "malformed_token"


@simulated
async def test_the_ways_to_write_a_token_differ():
    async with open_world() as world:
        token, _ = world.issuer.issue()
    assert twin(token) != token != other_last_letter(token)
    assert twin(twin(token)) == token
    with pytest.raises(ValueError):  # noqa: PT011 - raw r and s are no DER
        decode_dss_signature(base64.urlsafe_b64decode(token.rpartition(".")[2] + "=="))
