from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from tests.factories import NOW, make_audience, make_claims, make_verdict

from tokensvc.core.api_key import new_api_key
from tokensvc.core.exchange import ExchangeRequest, SubjectToken
from tokensvc.core.identifier import Kid
from tokensvc.core.ledger import (
    Decision,
    Question,
    build_caller_question,
    build_question,
    count_questions,
    hand_out,
)
from tokensvc.core.token import UnverifiedToken

KEY = new_api_key()
ONE, TWO = Question(b"1" * 32, None, None, True), Question(b"2" * 32, None, None, True)


def narrow(scope):
    token = UnverifiedToken(text="t.o.k", typ="at+jwt", alg="ES256", kid=Kid("k"))
    return ExchangeRequest(
        credential=token, shown_as="subject_token", scope=frozenset(scope.split())
    )


def test_most_requests_say_no_more_than_which_key():
    assert build_question(ExchangeRequest(credential=KEY), KEY, make_audience()) == (
        KEY.digest,
        None,
        None,
        True,
    )


def test_what_a_client_claims_and_wants_is_put_to_postgres():
    request = ExchangeRequest(credential=KEY, client_id="key_x", scope=frozenset({"b", "a"}))
    assert build_question(request, KEY, make_audience()) == (
        KEY.digest,
        "key_x",
        '{"scope": "a b"}',
        True,
    )


def test_a_token_that_is_to_be_narrowed_is_put_to_postgres_as_its_key_and_its_facts():
    claims = make_claims()
    question = build_question(
        narrow("orders:read"), SubjectToken(claims, Kid("k")), make_audience()
    )
    assert (question.digest, question.key_id, question.counts) == (None, claims.client_id, True)
    assert json.loads(question.demand or "") == {
        "account_id": claims.sub,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "kid": "k",
        "held": "orders:read orders:write",
        "scope": "orders:read",
    }


def test_t6_the_client_beside_a_token_and_another_audience_are_put_to_postgres():
    client = new_api_key()
    request = replace(narrow("orders:read"), client=client, client_id="key_x")
    subject = SubjectToken(make_claims(aud="orders"), Kid("k"))
    demand = json.loads(build_question(request, subject, make_audience()).demand or "")
    assert demand["client"] == client.digest.hex()
    assert (demand["client_says_id"], demand["other_audience"]) == ("key_x", True)


def test_a_token_with_nothing_to_give_unasked_is_judged_and_not_counted():
    subject = SubjectToken(make_claims(scope=("tokensvc:admin",)), Kid("k"))
    question = build_question(replace(narrow("x"), scope=None), subject, make_audience())
    assert not question.counts
    assert json.loads(question.demand or "")["held"] == "tokensvc:admin"


def test_a_caller_has_asked_for_all_that_it_has_and_counts_against_no_limit():
    assert build_caller_question(KEY, "key_x", "tokensvc:introspect", "192.0.2.7") == (
        KEY.digest,
        "key_x",
        '{"scope": "tokensvc:introspect", "address": "192.0.2.7"}',
        False,
    )
    assert build_caller_question(KEY, None, None, None).demand == '{"scope": "", "address": null}'


def test_what_will_be_refused_anyway_is_judged_and_not_counted():
    assert not build_question(ExchangeRequest(credential=KEY), KEY, None).counts
    subject = SubjectToken(make_claims(), Kid("k"))
    assert not build_question(narrow("more"), subject, make_audience()).counts


def test_requests_that_are_alike_are_one_question():
    assert list(count_questions([TWO, ONE, TWO]).items()) == [(TWO, 2), (ONE, 1)]


def test_admissions_of_a_key_go_to_its_first_requests_whatever_their_questions_are():
    verdict, other = make_verdict(key_id="k"), ONE._replace(key_id="k")
    decisions = hand_out([ONE, other, ONE, other], {ONE: verdict, other: verdict}, {"k": 3})
    assert decisions == [
        Decision(verdict, admitted=True, unspent=2),
        Decision(verdict, admitted=True, unspent=1),
        Decision(verdict, admitted=True, unspent=0),
        Decision(verdict, admitted=False, unspent=0),
    ]


def test_a_refused_request_takes_no_admission_of_another():
    verdict = make_verdict(key_id="k")
    refused, early = ONE._replace(demand="refused"), ONE._replace(demand="early")
    uncounted = ONE._replace(counts=False)
    verdicts = {
        ONE: verdict,
        refused: make_verdict(key_id="k", refusal="invalid_scope"),
        uncounted: verdict,
        early: make_verdict(key_id="k", watermark=NOW + timedelta(seconds=1)),
    }
    decisions = hand_out([refused, uncounted, early, ONE], verdicts, {"k": 1})
    admitted = [decision is not None and decision.admitted for decision in decisions]
    assert admitted == [False, False, False, True]


def test_a_question_without_a_verdict_is_about_an_unknown_key():
    assert hand_out([ONE, TWO], {TWO: make_verdict(key_id="k")}, {"k": 1})[0] is None
