"""The ledger judges tokens that are shown for narrower ones, and keys beside them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from tests import endings
from tests.integration.exchanges import ask, expect_anything, narrow
from tests.integration.things import ACTOR, make_key, read_header

from tokensvc.core.errors import (
    InvalidClientError,
    InvalidSubjectTokenError,
)
from tokensvc.core.ledger import Question
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.revoking.credentials import revoke_token
from tokensvc.issuer.revoking.introspection import find_revocation
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.store.ledger import LedgerConnection
from tokensvc.store.signing_key import list_signing_keys


async def test_what_a_revoked_signing_key_had_signed_cannot_be_narrowed(
    exchange, issue, database, settings, started, connection
):
    key = await make_key(database)
    original = await issue(key)
    request = narrow(original)
    kid = read_header(original.text)["kid"]
    narrowed = (await exchange.issue(request, "test")).claims
    assert (narrowed.origin_jti, narrowed.origin_kid) == (original.claims.jti, kid)
    await revoke_signing_key_now(database, settings, started.master_key, kid, actor=ACTOR)
    with pytest.raises(InvalidSubjectTokenError) as caught:
        await exchange.issue(request, "test")
    assert caught.value.reason == "revoked"
    successor = (await list_signing_keys(connection))[-1].kid
    revoking = await find_revocation(connection, narrowed, successor)
    assert revoking is not None
    assert (revoking.revocation.kind, revoking.revocation.value) == ("kid", kid)


def judge_as(claims, **changes):
    facts = {
        "account_id": claims.sub,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "held": " ".join(claims.scope),
    }
    return Question(None, claims.client_id, json.dumps(facts | {"scope": None} | changes), True)


async def test_what_a_shown_token_says_is_held_against_postgres(exchange, database):
    key = await make_key(database)
    ((claims,), _) = await ask(exchange, key)
    ledger = LedgerConnection(database)

    async def refusal(**changes):
        question = judge_as(claims, **changes)
        verdicts, admitted = await ledger.judge_batch({question: 1}, expect_anything)
        assert admitted[claims.client_id] == (verdicts[question].refusal is None)
        return verdicts[question].refusal

    assert await refusal() is None
    assert await refusal(scope="orders:read") is None
    assert await refusal(scope="orders:read more") == "invalid_scope"
    assert await refusal(held="gone") == "invalid_scope"
    assert await refusal(account_id="acct_other") == "revoked"
    assert await refusal(exp=claims.iat) == "expired"
    assert await refusal(jti="other") is None
    await revoke_token(database, claims, actor=ACTOR)
    assert await refusal() == "revoked"
    assert await refusal(jti="other") is None
    await api_keys.update_key(
        database, claims.client_id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
    )
    await asyncio.sleep(1)
    assert await refusal(jti="other") == "revoked"
    assert await refusal(jti="other", iat=int(datetime.now(UTC).timestamp()) + 1) is None
    ledger.close()


async def test_tokens_and_keys_of_all_kinds_are_judged_in_one_batch(exchange, database):
    one, two = await make_key(database), await make_key(database)
    ((claims,), _) = await ask(exchange, one)
    unknown = Question(b"?" * 32, None, None, True)
    ghost = Question(None, "key_ghost", judge_as(claims).demand, True)
    questions = {
        Question(two.key.digest, two.listed.record.id, None, True): 2,
        unknown: 3,
        judge_as(claims): 1,
        ghost: 1,
        Question(one.key.digest, None, '{"scope": "orders:read"}', True): 4,
        Question(one.key.digest, two.listed.record.id, None, True): 5,
    }
    ledger = LedgerConnection(database)
    verdicts, admitted = await ledger.judge_batch(questions, expect_anything)
    assert set(questions) - set(verdicts) == {unknown, ghost}
    assert admitted == {one.listed.record.id: 5, two.listed.record.id: 2}
    refusals = [verdicts[question].refusal for question in questions if question in verdicts]
    assert refusals == [None, None, None, "wrong_client_id"]
    ledger.close()


async def test_a_narrowed_token_of_a_revoked_key_is_refused_in_every_form(
    exchange, issue, database
):
    key = await make_key(database)
    token = await issue(key)
    await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    _, (of_key,) = await ask(exchange, key)
    _, (of_token,) = await ask(exchange, token)
    assert (type(of_key), type(of_token)) == (InvalidClientError, InvalidSubjectTokenError)
    assert of_key.reason == of_token.reason == "revoked"
