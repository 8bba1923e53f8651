from __future__ import annotations

import pytest
from tests.factories import make_signing_key

from tokensvc.core.errors import StartRefusedError
from tokensvc.core.identifier import Kid
from tokensvc.core.jwks import ALGORITHMS, parse_public_jwk
from tokensvc.core.private_key import new_private_key
from tokensvc.core.sealing import MasterKey, new_master_key, seal, unseal
from tokensvc.core.token import check_signature, parse_unverified, sign_jws

MASTER_KEY = new_master_key()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_sealed_key_signs_what_its_public_half_verifies(alg):
    jwk, sealed = seal(new_private_key(alg), alg, MASTER_KEY)
    key = unseal(sealed, kid=Kid(jwk["kid"]), alg=alg, master_key=MASTER_KEY)
    assert (key.kid, key.alg) == (jwk["kid"], alg)
    signed = parse_unverified(sign_jws({"a": 1}, typ="t", key=key))
    payload = check_signature(signed, typ=["t"], algorithms=[alg], key=parse_public_jwk(jwk))
    assert payload == {"a": 1}


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
    one, sealed = seal(new_private_key("ES256"), "ES256", MASTER_KEY)
    other, _ = seal(new_private_key("ES256"), "ES256", MASTER_KEY)
    with pytest.raises(StartRefusedError, match=other["kid"]):
        unseal(sealed, kid=Kid(other["kid"]), alg="ES256", master_key=MASTER_KEY)
    assert unseal(sealed, kid=Kid(one["kid"]), alg="ES256", master_key=MASTER_KEY).kid == one["kid"]


def test_another_master_key_opens_nothing():
    jwk, sealed = seal(new_private_key("ES256"), "ES256", MASTER_KEY)
    with pytest.raises(StartRefusedError, match="the master key does not open"):
        unseal(sealed, kid=Kid(jwk["kid"]), alg="ES256", master_key=new_master_key())


def test_sealing_twice_gives_two_ciphertexts_and_neither_holds_the_key():
    private_key = new_private_key("ES256")
    _, first = seal(private_key, "ES256", MASTER_KEY)
    _, second = seal(private_key, "ES256", MASTER_KEY)
    assert first[:12] != second[:12]
    assert first != second
    secret = private_key.private_numbers().private_value.to_bytes(32)  # type: ignore[union-attr]
    assert secret not in first


def test_a_secret_key_does_not_show_in_its_repr():
    key, _, _ = make_signing_key()
    assert len(MASTER_KEY.secret) == 32
    assert repr(MASTER_KEY) == "MasterKey()"
    assert "private_key" not in repr(key)
    assert MasterKey(b"a" * 32) != MASTER_KEY
