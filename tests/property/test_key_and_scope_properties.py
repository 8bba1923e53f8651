from __future__ import annotations

from datetime import timedelta

import pytest
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

from tokensvc.core.api_key import ApiKey, checksum, parse_api_key
from tokensvc.core.capability import build_scope, narrow_scope, parse_scope
from tokensvc.core.errors import InvalidClientError, InvalidScopeError
from tokensvc.core.exchange import (
    ExchangeRequest,
    SubjectToken,
    decide_claims,
    wait_for_clear_second,
)
from tokensvc.core.identifier import BASE62, Jti, Kid
from tokensvc.core.token import UnverifiedToken

prefixes = st.from_regex(r"[A-Za-z0-9]{1,7}-", fullmatch=True)
names = st.from_regex(r"[a-z*][a-z:*]{0,3}", fullmatch=True)
some_names = st.frozensets(names, max_size=6)


@given(prefixes, st.data())
def test_every_well_formed_key_is_read_back(prefix, data):
    body = prefix + data.draw(st.text(BASE62, min_size=30 - len(prefix), max_size=30 - len(prefix)))
    text = body + checksum(body)
    key = parse_api_key(text, prefix)
    assert key == ApiKey(text)
    assert len(key.text) == 36


@given(
    st.text(max_size=50)
    | st.text(BASE62 + "-", min_size=36, max_size=36).map(lambda text: "tsk-" + text[4:])
)
def test_any_text_is_a_key_with_a_good_checksum_or_refused(text):
    try:
        key = parse_api_key(text)
    except InvalidClientError as refusal:
        assert refusal.reason == "malformed_key"  # noqa: PT017
    else:
        assert key.text == text
        assert checksum(text[:30]) == text[30:]


@given(st.none() | some_names, some_names)
def test_narrowing_never_widens(asked, granted):
    try:
        given_ = narrow_scope(asked, granted)
    except InvalidScopeError:
        assert asked is not None
        assert asked - granted
    else:
        assert set(given_) <= granted
        assert set(given_) == (granted if asked is None else asked)
        assert list(given_) == sorted(given_)


@given(some_names.filter(bool))
def test_a_written_scope_is_read_back(wanted):
    assert parse_scope(build_scope(wanted)) == wanted


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
def test_after_the_wait_a_token_lies_beyond_the_watermark(at, denied):
    moment, watermark = NOW + timedelta(microseconds=at), NOW + timedelta(microseconds=denied)
    wait = wait_for_clear_second(make_verdict(at=moment, watermark=watermark))
    if wait is None:
        assert int(moment.timestamp()) > int(watermark.timestamp())
    else:
        assert wait > timedelta(0)
        later = moment + wait + timedelta(milliseconds=1)
        assert wait_for_clear_second(make_verdict(at=later, watermark=watermark)) is None


@pytest.mark.parametrize("asked", [frozenset({"x"})])
def test_a_scope_of_nothing_grants_nothing(asked):
    with pytest.raises(InvalidScopeError):
        narrow_scope(asked, ())
