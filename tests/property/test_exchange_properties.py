from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.factories import (
    NOW,
    make_audience,
    make_claims,
    make_issuing_policy,
    make_verdict,
    seconds,
)

from tokensvc.core.errors import InvalidScopeError
from tokensvc.core.exchange import (
    ExchangeRequest,
    SubjectToken,
    decide_claims,
    wait_for_clear_second,
)
from tokensvc.core.identifier import Jti, Kid
from tokensvc.core.token import UnverifiedToken

names = st.from_regex(r"[a-z*][a-z:*]{0,3}", fullmatch=True)
some_names = st.frozensets(names, max_size=6)


@given(
    in_token=st.frozensets(names, min_size=1, max_size=5),
    in_key=some_names,
    asked=st.none() | some_names,
    expires_in=st.none() | st.integers(1, 10_000),
    left=st.integers(1, 4000),
    lives=st.tuples(st.integers(1, 5000), st.integers(1, 5000), st.none() | st.integers(1, 5000)),
)
def test_a_narrowed_token_has_never_more_than_its_original(
    in_token, in_key, asked, expires_in, left, lives
):
    original = make_claims(scope=tuple(in_token), exp=seconds(NOW) + left)
    usual, longest, of_audience = lives
    policy = make_issuing_policy(
        token_life=timedelta(seconds=usual), max_token_life=timedelta(seconds=longest)
    )
    audience = make_audience(
        token_life=None if of_audience is None else timedelta(seconds=of_audience)
    )
    subject = SubjectToken(original, Kid("k"))
    request = ExchangeRequest(
        credential=UnverifiedToken(text="t.o.k", typ="at+jwt", alg="ES256", kid=subject.kid),
        shown_as="subject_token",
        scope=asked,
        expires_in=expires_in,
    )
    verdict = make_verdict(capabilities=tuple(in_key))
    try:
        claims = decide_claims(request, subject, verdict, audience, policy, Jti("new"))
    except InvalidScopeError:
        return
    assert set(claims.scope) <= in_token & in_key
    assert claims.iat < claims.exp <= min(original.exp, claims.iat + longest)
    assert claims.exp - claims.iat <= (of_audience or usual)
    assert expires_in is None or claims.exp - claims.iat <= expires_in


@given(st.integers(0, 5_000_000), st.integers(-5_000_000, 5_000_000))
def test_after_the_wait_a_token_lies_beyond_the_watermark(at, revoked_at):
    moment, watermark = NOW + timedelta(microseconds=at), NOW + timedelta(microseconds=revoked_at)
    wait = wait_for_clear_second(make_verdict(at=moment, watermark=watermark))
    if wait is None:
        assert int(moment.timestamp()) > int(watermark.timestamp())
    else:
        assert wait > timedelta(0)
        later = moment + wait + timedelta(milliseconds=1)
        assert wait_for_clear_second(make_verdict(at=later, watermark=watermark)) is None
