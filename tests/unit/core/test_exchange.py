from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import (
    ACCOUNT_ID,
    ISSUER,
    KEY_ID,
    NOW,
    make_audience,
    make_claims,
    make_issuing_policy,
    make_verdict,
    seconds,
)

from tokensvc.core.api_key import new_api_key
from tokensvc.core.errors import (
    InvalidClientError,
    InvalidScopeError,
    InvalidSubjectTokenError,
    InvalidTargetError,
)
from tokensvc.core.exchange import (
    ExchangeRequest,
    SubjectToken,
    check_verdict,
    decide_claims,
    refuse_credential,
    refuse_over_limit,
    wait_for_clear_second,
)
from tokensvc.core.identifier import Jti, Kid
from tokensvc.core.limit import Quota
from tokensvc.core.token import UnverifiedToken

KEY = new_api_key()
JTI = Jti("new-token")
KID = Kid("its-signer")
REFUSALS = ["disabled", "revoked", "expired", "suspended", "wrong_client_id"]


def ask(**changes):
    return ExchangeRequest(**{"credential": KEY} | changes)


def narrow(**changes):
    token = UnverifiedToken(text="t.o.k", typ="at+jwt", alg="ES256", kid=KID)
    return ask(**{"credential": token, "shown_as": "subject_token"} | changes)


@pytest.mark.parametrize(
    "request_", [ask(), ask(client_id=KEY_ID), narrow()], ids=["key", "key and its id", "token"]
)
def test_a_good_credential_passes(request_):
    check_verdict(request_, make_verdict())


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_key_looks_like_any_other_and_keeps_its_reason_inside(refusal):
    with pytest.raises(InvalidClientError) as error:
        check_verdict(ask(), make_verdict(refusal=refusal))
    assert error.value.reason == refusal
    assert error.value.message == InvalidClientError("other").message


@pytest.mark.parametrize("credential", [KEY, narrow().credential], ids=["key", "token"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_subject_token_is_answered_as_rfc_8693_demands(refusal, credential):
    with pytest.raises(InvalidSubjectTokenError) as error:
        check_verdict(narrow(credential=credential), make_verdict(refusal=refusal))
    assert (error.value.reason, error.value.code) == (refusal, "invalid_request")


@pytest.mark.parametrize("refusal", ["unknown_client", "wrong_client"])
def test_a_bad_client_beside_a_good_token_is_refused_as_a_client(refusal):
    with pytest.raises(InvalidClientError) as error:
        check_verdict(narrow(client=KEY), make_verdict(refusal=refusal))
    assert error.value.reason == refusal


def test_a_dead_token_is_refused_as_a_token_whatever_client_is_beside_it():
    with pytest.raises(InvalidSubjectTokenError):
        check_verdict(narrow(client=KEY), make_verdict(refusal="revoked"))


def test_a_key_that_is_subject_token_and_client_at_once_is_refused_as_a_client():
    with pytest.raises(InvalidClientError):
        check_verdict(narrow(credential=KEY, client=KEY), make_verdict(refusal="revoked"))


def test_t6_another_audience_that_postgres_refuses_is_no_refusal_of_the_key():
    with pytest.raises(InvalidTargetError, match="keeps its audience"):
        check_verdict(narrow(client=KEY), make_verdict(refusal="invalid_target"))


@pytest.mark.parametrize("request_", [ask(), narrow()], ids=["key", "token"])
def test_a_scope_that_postgres_refuses_is_no_refusal_of_the_key(request_):
    with pytest.raises(InvalidScopeError):
        check_verdict(request_, make_verdict(refusal="invalid_scope"))


def test_the_way_in_which_a_credential_was_shown_decides_how_it_is_refused():
    of_client = refuse_credential("client_authentication", "unknown_key")
    of_subject = refuse_credential("subject_token", "unknown_key")
    assert (type(of_client), of_client.code) == (InvalidClientError, "invalid_client")
    assert (type(of_subject), of_subject.code) == (InvalidSubjectTokenError, "invalid_request")
    assert of_client.reason == of_subject.reason == "unknown_key"


@pytest.mark.parametrize(
    ("left", "policy", "limit", "window", "retry_after", "text"),
    [
        ((0, 9, 9, 9), "key-minute", 60, 60, 15, "60 tokens per minute for this key"),
        ((9, 0, 9, 9), "key-day", 5000, 86400, 43155, "5000 tokens per day for this key"),
        ((9, 9, 0, 9), "account-minute", 600, 60, 15, "600 tokens per minute for this account"),
        ((9, 9, 9, 0), "account-day", 50000, 86400, 43155, "50000 tokens per day for this account"),
        ((0, 0, 0, 0), "key-day", 5000, 86400, 43155, "per day for this key"),
        ((-3, 9, 0, 9), "key-minute", 60, 60, 15, "per minute for this key"),
    ],
    ids=[
        "minute",
        "day",
        "minute of the account",
        "day of the account",
        "all: the longest wait",
        "a limit that was lowered",
    ],
)
def test_a_request_over_a_limit_is_told_which_one_and_when_it_starts_anew(
    left, policy, limit, window, retry_after, text
):
    verdict = make_verdict(at=NOW + timedelta(seconds=45), quota=Quota(60, 5000, 600, 50000, *left))
    error = refuse_over_limit(verdict)
    assert (error.policy, error.limit, error.window, error.retry_after) == (
        policy,
        limit,
        window,
        retry_after,
    )
    assert text in error.message
    assert (error.code, error.reason) == (
        "rate_limit_exceeded",
        policy.replace("-", "_") + "_limited",
    )
    assert error.message.endswith(
        "2026-11-23T12:01:00Z" if window == 60 else "2026-11-24T00:00:00Z"
    )


@pytest.mark.parametrize(
    ("denied_after", "wait"),
    [
        (None, None),
        (timedelta(seconds=-1), None),
        (timedelta(milliseconds=-1), None),
        (timedelta(0), timedelta(seconds=1)),
        (timedelta(milliseconds=250), timedelta(seconds=1)),
        (timedelta(milliseconds=999), timedelta(seconds=1)),
        (timedelta(seconds=1), timedelta(seconds=2)),
    ],
    ids=str,
)
def test_a_token_waits_out_the_second_of_the_watermark(denied_after, wait):
    watermark = None if denied_after is None else NOW + denied_after
    assert wait_for_clear_second(make_verdict(watermark=watermark)) == wait


def test_the_wait_is_only_the_rest_of_the_second():
    verdict = make_verdict(
        at=NOW + timedelta(milliseconds=750), watermark=NOW + timedelta(milliseconds=250)
    )
    assert wait_for_clear_second(verdict) == timedelta(milliseconds=250)


def decide(request=None, verdict=None, audience=None, subject=None, **policy):
    return decide_claims(
        request or ask(),
        KEY if subject is None else SubjectToken(subject, KID),
        verdict or make_verdict(),
        audience or make_audience(),
        make_issuing_policy(**policy),
        JTI,
    )


def test_a_plain_exchange_gives_all_that_the_key_has_for_the_usual_life():
    claims = decide()
    assert claims == make_claims(jti=JTI, scope=("orders:read", "orders:write"))
    assert (claims.iss, claims.sub, claims.client_id, claims.origin_jti) == (
        ISSUER,
        ACCOUNT_ID,
        KEY_ID,
        None,
    )


def test_iat_is_postgres_clock_rounded_down():
    claims = decide(verdict=make_verdict(at=NOW + timedelta(milliseconds=999)))
    assert (claims.iat, claims.exp) == (seconds(NOW), seconds(NOW) + 600)


def test_an_unknown_audience_is_refused():
    asked = ask(audience="elsewhere")
    for request, said in ((asked, "unknown audience: elsewhere"), (ask(), "the default audience")):
        with pytest.raises(InvalidTargetError, match=said):
            decide_claims(request, KEY, make_verdict(), None, make_issuing_policy(), JTI)


@pytest.mark.parametrize(
    ("audience_life", "token_life", "longest", "asked", "life"),
    [
        (None, 600, 3600, None, 600),
        (None, 600, 3600, 60, 60),
        (None, 600, 3600, 7200, 600),
        (60, 600, 3600, None, 60),
        (60, 600, 3600, 600, 60),
        (1200, 600, 3600, None, 1200),
        (7200, 600, 3600, None, 3600),
        (7200, 600, 3600, 7200, 3600),
        (None, 7200, 3600, None, 3600),
    ],
)
def test_a_life_may_be_shortened_and_never_lengthened(
    audience_life, token_life, longest, asked, life
):
    audience = make_audience(
        token_life=None if audience_life is None else timedelta(seconds=audience_life)
    )
    policy = {
        "token_life": timedelta(seconds=token_life),
        "max_token_life": timedelta(seconds=longest),
    }
    claims = decide(ask(expires_in=asked), audience=audience, **policy)
    assert claims.exp - claims.iat == life
    assert (
        claims.exp - claims.iat
        <= make_issuing_policy(**policy).find_longest_life(audience).total_seconds()
    )


def test_t6_a_token_keeps_its_audience_unless_the_key_is_shown_beside_it():
    orders, payroll = make_claims(aud="orders"), make_audience(name="payroll")
    with pytest.raises(InvalidTargetError, match="keeps its audience"):
        decide(narrow(audience="payroll"), audience=payroll, subject=orders)
    with pytest.raises(InvalidTargetError, match="keeps its audience"):
        # What exists and what does not is answered alike.
        decide_claims(
            narrow(audience="x"),
            SubjectToken(orders, KID),
            make_verdict(),
            None,
            make_issuing_policy(),
            JTI,
        )
    beside = narrow(audience="payroll", client=KEY)
    assert decide(beside, audience=payroll, subject=orders).aud == "payroll"
    kept = decide(narrow(), audience=make_audience(name="orders"), subject=orders)
    assert kept.aud == "orders"


def test_a_narrowed_token_ends_with_its_original_and_names_it():
    original = make_claims(exp=seconds(NOW) + 100)
    claims = decide(narrow(), subject=original)
    assert (claims.exp, claims.origin_jti, claims.origin_kid, claims.jti) == (
        original.exp,
        original.jti,
        KID,
        JTI,
    )
    assert decide(narrow(expires_in=10), subject=original).exp == seconds(NOW) + 10


@pytest.mark.parametrize(
    ("in_token", "in_key", "asked", "given"),
    [
        (("a", "b"), ("a", "b"), None, ("a", "b")),
        (("a",), ("a", "b"), None, ("a",)),
        (("a", "b"), ("b", "c"), None, ("b",)),
        (("a", "b"), ("a", "b"), {"b"}, ("b",)),
        (("a",), ("a", "b"), {"b"}, None),
        (("a", "b"), ("b",), {"a"}, None),
        (("a",), ("b",), None, None),
        (("a",), (), None, None),
    ],
)
def test_a_token_is_narrowed_to_what_it_and_its_key_both_have(in_token, in_key, asked, given):
    request = narrow(scope=None if asked is None else frozenset(asked))
    verdict, subject = make_verdict(capabilities=in_key), make_claims(scope=in_token)
    if given is None:
        with pytest.raises(InvalidScopeError):
            decide(request, verdict, subject=subject)
    else:
        assert decide(request, verdict, subject=subject).scope == given


def test_a_key_never_gets_what_it_was_not_granted():
    assert decide(ask(scope=frozenset({"orders:read"}))).scope == ("orders:read",)
    with pytest.raises(InvalidScopeError):
        decide(ask(scope=frozenset({"orders:read", "orders:delete"})))
