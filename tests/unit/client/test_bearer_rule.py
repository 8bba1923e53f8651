"""The rule of all adapters, with a source that only takes notes."""

from __future__ import annotations

import pytest
from tests.unit.client.loopback import INVALID_TOKEN

from tokensvc.client import BodyNotRepeatableError, HostNotAllowedError
from tokensvc.client._bearer_rule import BearerRule, Sent


class Source:
    """Gives "t", and says of each dropped token whether to repeat the request."""

    def __init__(self, *, is_worth_repeating: bool = True) -> None:
        self.is_worth_repeating = is_worth_repeating
        self.asked: list[tuple[str | None, str | None]] = []
        self.dropped: list[tuple[str, str | None, str | None]] = []

    def get_token(self, *, audience: str | None = None, scope: str | None = None) -> str:
        self.asked.append((audience, scope))
        return "t"

    def drop_token(
        self, token: str, *, audience: str | None = None, scope: str | None = None
    ) -> bool:
        self.dropped.append((token, audience, scope))
        return self.is_worth_repeating


def new_rule(source, **options):
    options |= {"allowed_hosts": {"a.example"}, "audience": "api", "scope": "s"}
    return BearerRule(source, {"a client": Source}, **options)


def sent(host="a.example", authorization: str | None = "Bearer t"):
    return Sent(scheme="https", host=host, port=None, authorization=authorization)


def test_the_token_is_for_the_audience_and_scope_of_the_rule():
    source = Source()
    assert new_rule(source).get_token() == "t"
    assert source.asked == [("api", "s")]


def test_a_request_to_an_allowed_host_gets_a_token():
    rule = new_rule(Source())
    assert rule.covers(sent())
    with pytest.raises(HostNotAllowedError):
        rule.covers(sent("b.example"))
    assert not new_rule(Source(), elsewhere="no_token").covers(sent("b.example"))


@pytest.mark.parametrize("is_worth_repeating", [True, False])
def test_a_refused_token_is_dropped_and_the_source_says_whether_to_repeat(is_worth_repeating):
    source = Source(is_worth_repeating=is_worth_repeating)
    assert new_rule(source).must_repeat(sent(), 401, [INVALID_TOKEN]) == is_worth_repeating
    assert source.dropped == [("t", "api", "s")]


@pytest.mark.parametrize(
    ("authorization", "status", "challenge"),
    [
        (None, 401, INVALID_TOKEN),
        ("Basic dTpw", 401, INVALID_TOKEN),
        ("Bearer t", 403, INVALID_TOKEN),
        ("Bearer t", 401, "Bearer"),
    ],
)
def test_a_response_that_does_not_refuse_our_token_drops_nothing(authorization, status, challenge):
    source = Source()
    rule = new_rule(source)
    assert not rule.must_repeat(sent(authorization=authorization), status, [challenge])
    assert source.dropped == []


def test_a_request_that_a_redirect_led_to_another_host_is_not_repeated_there():
    source = Source()
    with pytest.raises(HostNotAllowedError):
        new_rule(source).must_repeat(sent("b.example"), 401, [INVALID_TOKEN])
    rule = new_rule(source, elsewhere="no_token")
    assert not rule.must_repeat(sent("b.example"), 401, [INVALID_TOKEN])
    assert source.dropped == []


def test_repr_does_not_show_the_header_of_a_request():
    assert "Bearer" not in repr(sent())


def test_the_wrong_source_is_refused_in_one_sentence():
    rule = new_rule(Source())
    rule.check_source({"a client": Source, "another": str})
    with pytest.raises(TypeError, match=r"^a client needs a int, and another needs a str$"):
        rule.check_source({"a client": int, "another": str})
    with pytest.raises(TypeError, match=r"^a client needs a Source$"):
        new_rule("no source")


def test_a_body_that_cannot_be_sent_again_is_an_error_after_the_token_was_dropped():
    source = Source()
    with pytest.raises(BodyNotRepeatableError):
        new_rule(source).must_repeat(sent(), 401, [INVALID_TOKEN], is_repeatable=False)
    assert source.dropped == [("t", "api", "s")]
    assert not new_rule(source).must_repeat(sent(), 403, [INVALID_TOKEN], is_repeatable=False)
