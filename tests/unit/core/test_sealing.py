from __future__ import annotations

from dataclasses import replace

import pytest
from tests.factories import make_signing_key, make_signing_key_record

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.errors import StartRefusedError
from tokensvc.core.jwks import parse_public_jwk
from tokensvc.core.private_key import new_private_key
from tokensvc.core.sealing import MasterKey, new_master_key, seal, unseal
from tokensvc.core.token import check_signature, parse_unverified, sign_jws

MASTER_KEY = new_master_key()


def sealed(alg="ES256", master_key=MASTER_KEY):
    """The row of a new key."""
    jwk, text = seal(new_private_key(alg), alg, master_key)
    return make_signing_key_record(jwk["kid"], alg=alg, public_jwk=jwk, sealed_private_key=text)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_sealed_key_signs_what_its_public_half_verifies(alg):
    row = sealed(alg)
    key = unseal(row, MASTER_KEY)
    assert (key.kid, key.alg) == (row.kid, alg)
    signed = parse_unverified(sign_jws({"a": 1}, typ="t", key=key))
    verifying = parse_public_jwk(row.public_jwk)
    assert check_signature(signed, typ=["t"], algorithms=[alg], key=verifying) == {"a": 1}


def test_t24_every_changed_byte_of_a_sealed_key_is_noticed():
    row = sealed()
    text = row.sealed_private_key
    for place in range(len(text)):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises(StartRefusedError):
            unseal(replace(row, sealed_private_key=changed), MASTER_KEY)


def test_every_truncation_of_a_sealed_key_is_noticed():
    row = sealed("EdDSA")
    for length in range(len(row.sealed_private_key)):
        with pytest.raises(StartRefusedError):
            unseal(replace(row, sealed_private_key=row.sealed_private_key[:length]), MASTER_KEY)


def test_t24_a_sealed_key_put_under_the_kid_of_another_is_refused():
    one, other = sealed(), sealed()
    with pytest.raises(StartRefusedError, match=other.kid):
        unseal(replace(other, sealed_private_key=one.sealed_private_key), MASTER_KEY)
    assert unseal(one, MASTER_KEY).kid == one.kid


ROW, OTHER = sealed(), sealed()
CHANGED = {
    "the public key of another": {"public_jwk": OTHER.public_jwk | {"kid": ROW.kid}},
    "the whole JWK of another": {"public_jwk": OTHER.public_jwk},
    "half a public key": {"public_jwk": ROW.public_jwk | {"y": OTHER.public_jwk["y"]}},
    "another kid in the JWK": {"public_jwk": ROW.public_jwk | {"kid": OTHER.kid}},
    "another algorithm in the JWK": {"public_jwk": ROW.public_jwk | {"alg": "RS256"}},
    "another use in the JWK": {"public_jwk": ROW.public_jwk | {"use": "enc"}},
    "one more member": {"public_jwk": ROW.public_jwk | {"x5u": "https://evil.example"}},
    "no JWK": {"public_jwk": {}},
    "JSON that is no object": {"public_jwk": ["x"]},
    "another algorithm": {"alg": "RS256"},
    "another algorithm of that kind": {"alg": "EdDSA"},
}


@pytest.mark.parametrize("changes", CHANGED.values(), ids=CHANGED)
def test_t42_a_row_that_does_not_agree_with_its_private_key_is_refused(changes):
    with pytest.raises(StartRefusedError, match=f"signing key {ROW.kid} was changed") as refusal:
        unseal(replace(ROW, **changes), MASTER_KEY)
    assert f"tokensvc signing-key revoke {ROW.kid}" in refusal.value.message
    assert refusal.value.reason == "signing_key_changed"


def test_another_master_key_opens_nothing():
    with pytest.raises(StartRefusedError, match="the master key does not open"):
        unseal(sealed(), new_master_key())


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
