"""One request without a second try, as the command line makes it."""

from __future__ import annotations

import pytest
from tests.unit.client.loopback import KEY, Reply, refusal

from tokensvc.client._token_endpoint import request_token
from tokensvc.core.errors import InvalidClientError, InvalidRequestError, UnavailableError


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(401, "invalid_client"), InvalidClientError),
        (refusal(400, "invalid_scope"), InvalidRequestError),
        (refusal(429, "rate_limit_exceeded", Retry_After="1"), UnavailableError),
        (refusal(503, "temporarily_unavailable"), UnavailableError),
        (Reply(200, b"<html>"), UnavailableError),
    ],
)
async def test_a_single_request_is_answered_or_refused_without_a_second_try(reply, error, issuer):
    assert await request_token(issuer.url, KEY, {"scope": "a"}) == "token-1"
    issuer.replies.append(reply)
    with pytest.raises(error):
        await request_token(issuer.url, KEY, {})
    assert issuer.asked == 2


@pytest.mark.parametrize(
    ("url", "key", "error"),
    [
        ("http://a.example", KEY, InvalidRequestError),
        ("http://localhost", "a\nb", InvalidClientError),
    ],
)
async def test_a_single_request_is_not_sent_to_the_wrong_place_or_with_a_broken_key(
    url, key, error
):
    with pytest.raises(error):
        await request_token(url, key, {})
