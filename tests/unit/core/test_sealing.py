from __future__ import annotations

import pytest
from tests.factories import make_signing_key

from tokensvc.core.errors import StartRefusedError
from tokensvc.core.identifier import Kid
from tokensvc.core.jwks import ALGORITHMS, build_public_jwk, fits, parse_public_jwk
from tokensvc.core.sealing import MasterKey, new_master_key, new_private_key, seal, unseal
from tokensvc.core.token import sign_jws, verify_bytes

MASTER_KEY = new_master_key()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_sealed_key_signs_what_its_public_half_verifies(alg):
    jwk, sealed = seal(new_private_key(alg), alg, MASTER_KEY)
    key = unseal(sealed, kid=Kid(jwk["kid"]), alg=alg, master_key=MASTER_KEY)
    assert (key.kid, key.alg) == (jwk["kid"], alg)
    verify_bytes(sign_jws({"a": 1}, typ="t", key=key), alg=alg, key=parse_public_jwk(jwk).key)


def test_a_key_id_can_be_typed_on_a_command_line():
    kids = [
        build_public_jwk("ES256", new_private_key("ES256").public_key())["kid"] for _ in range(500)
    ]
    assert not [kid for kid in kids if kid.startswith("-")]


def test_rsa_keys_are_made_with_3072_bits():
    public = new_private_key("RS256").public_key()
    assert fits("RS256", public)
    assert getattr(public, "key_size", None) == 3072


def test_every_changed_byte_of_a_sealed_key_is_noticed():
    jwk, sealed = seal(new_private_key("ES256"), "ES256", MASTER_KEY)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(StartRefusedError):
            unseal(changed, kid=Kid(jwk["kid"]), alg="ES256", master_key=MASTER_KEY)


def test_every_truncation_of_a_sealed_key_is_noticed():
    jwk, sealed = seal(new_private_key("EdDSA"), "EdDSA", MASTER_KEY)
    for length in range(len(sealed)):
        with pytest.raises(StartRefusedError):
            unseal(sealed[:length], kid=Kid(jwk["kid"]), alg="EdDSA", master_key=MASTER_KEY)


def test_a_sealed_key_put_under_the_kid_of_another_is_refused():
    (one, sealed), (other, _) = (
        seal(new_private_key("ES256"), "ES256", MASTER_KEY) for _ in range(2)
    )
    with pytest.raises(StartRefusedError, match=other["kid"]):
        unseal(sealed, kid=Kid(other["kid"]), alg="ES256", master_key=MASTER_KEY)
    assert unseal(sealed, kid=Kid(one["kid"]), alg="ES256", master_key=MASTER_KEY).kid == one["kid"]


def test_another_master_key_opens_nothing():
    jwk, sealed = seal(new_private_key("ES256"), "ES256", MASTER_KEY)
    with pytest.raises(StartRefusedError, match="the master key does not open"):
        unseal(sealed, kid=Kid(jwk["kid"]), alg="ES256", master_key=new_master_key())


def test_sealing_twice_gives_two_texts_and_never_the_key_itself():
    private_key = new_private_key("ES256")
    (_, first), (_, second) = (
        seal(private_key, "ES256", MASTER_KEY),
        seal(private_key, "ES256", MASTER_KEY),
    )
    assert first[:12] != second[:12]
    assert first != second
    secret = private_key.private_numbers().private_value.to_bytes(32)  # type: ignore[union-attr]
    assert secret not in first


def test_secrets_do_not_show():
    key, _, _ = make_signing_key()
    assert len(MASTER_KEY.secret) == 32
    assert repr(MASTER_KEY) == "MasterKey()"
    assert "private_key" not in repr(key)
    assert MasterKey(b"a" * 32) != MASTER_KEY
