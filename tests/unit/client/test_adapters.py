"""The rule that all adapters share, against a relying party: each test runs with each library."""

from __future__ import annotations

import pytest
from tests.unit.client.libraries import LIBRARIES, stream, stream_async
from tests.unit.client.loopback import INVALID_TOKEN, KEY, Reply, refusal

from tokensvc.client import BodyNotRepeatableError, HostNotAllowedError, KeyRejectedError


@pytest.fixture(params=LIBRARIES)
def new_library(request, issuer, clock, party):
    def make(**options):
        return LIBRARIES[request.param](issuer, clock, **{"allowed_hosts": {party.host}, **options})

    return make


def test_a_request_carries_a_token(new_library, issuer, party):
    library = new_library(audience="orders-api", scope="orders:read")
    assert (
        library.send("POST", f"{party.url}/orders", b"one", times=3) == [(200, "token-1 one")] * 3
    )
    (asked,) = issuer.received
    assert (asked.form, asked.bearer) == ({"audience": "orders-api", "scope": "orders:read"}, KEY)
    assert party.bearers == ["token-1"] * 3


def test_a_refused_token_is_replaced_and_the_request_repeated_once(new_library, issuer, party):
    party.refused.add("token-1")
    assert new_library().send("POST", f"{party.url}/orders", b"one") == [(200, "token-2 one")]
    assert party.bearers == ["token-1", "token-2"]
    assert [request.body for request in party.received] == [b"one", b"one"]
    assert issuer.asked == 2


def test_many_requests_with_a_refused_token_cause_one_more_exchange(new_library, issuer, party):
    party.refused.add("token-1")
    assert new_library().send("POST", party.url, b"one", times=20) == [(200, "token-2 one")] * 20
    assert issuer.asked == 2


def test_a_relying_party_that_refuses_every_token_uses_up_only_two(new_library, issuer, party):
    party.refused |= {f"token-{number}" for number in range(100)}
    assert {status for status, _ in new_library().send("GET", party.url, times=5)} == {401}
    assert issuer.asked == 2


@pytest.mark.parametrize(
    "refusal_sent",
    [
        Reply(403, b"no", {"WWW-Authenticate": INVALID_TOKEN}),
        Reply(403, b"no", {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}),
        Reply(401, b"no", {"WWW-Authenticate": "Bearer"}),
        Reply(401, b"no", {"WWW-Authenticate": 'Basic realm="x"'}),
        Reply(401, b"no"),
        Reply(503, b"no", {"WWW-Authenticate": INVALID_TOKEN}),
    ],
    ids=lambda reply: f"{reply.status} {reply.headers.get('WWW-Authenticate')}",
)
def test_any_other_refusal_is_returned_to_the_caller(refusal_sent, new_library, issuer, party):
    party.refused.add("token-1")
    party.refusal = refusal_sent
    assert new_library().send("GET", party.url) == [(refusal_sent.status, "no")]
    assert (issuer.asked, len(party.received)) == (1, 1)


def test_a_stream_is_not_repeated_and_the_next_request_has_a_new_token(new_library, issuer, party):
    library = new_library()
    body = stream_async if library.has_async_streams else stream
    party.refused.add("token-1")
    with pytest.raises(BodyNotRepeatableError, match="send the request again with a new body"):
        library.send("POST", party.url, body())
    assert (issuer.asked, len(party.received)) == (1, 1)
    party.refused.clear()
    assert library.send("POST", party.url, body()) == [(200, "token-2 a stream")]


def test_a_request_to_another_host_is_not_sent(new_library, issuer, party, other_party):
    for url in (
        other_party.url,
        f"http://localhost:{party.port}",
        "http://orders.example.com/",
        f"http://{party.host}@{other_party.host}/",
    ):
        with pytest.raises(HostNotAllowedError):
            new_library().send("GET", url)
    assert issuer.asked == 0
    assert other_party.received == party.received == []


def test_a_request_to_another_host_goes_without_a_token_if_elsewhere_says_so(
    new_library, issuer, other_party
):
    assert new_library(elsewhere="no_token").send("GET", other_party.url) == [(200, "None ")]
    assert (issuer.asked, other_party.bearers) == (0, [None])


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_host_takes_no_token_along(status, new_library, party, other_party):
    party.redirects["/away"] = (status, f"{other_party.url}/there")
    assert new_library(elsewhere="no_token").send("GET", f"{party.url}/away") == [(200, "None ")]
    assert (party.bearers, other_party.bearers) == (["token-1"], [None])


def test_a_401_from_another_host_after_a_redirect_does_not_drop_the_token(
    new_library, issuer, party, other_party
):
    party.redirects["/away"] = (307, f"{other_party.url}/there")
    other_party.respond = lambda _request: other_party.refusal
    assert new_library(elsewhere="no_token").send("GET", f"{party.url}/away") == [(401, "no")]
    assert (issuer.asked, party.bearers, other_party.bearers) == (1, ["token-1"], [None])


def test_a_redirect_on_the_same_host_keeps_the_token(new_library, issuer, party):
    party.redirects["/old"] = (307, f"{party.url}/new")
    assert new_library().send("POST", f"{party.url}/old", b"one") == [(200, "token-1 one")]
    party.refused.add("token-2")
    assert new_library().send("POST", f"{party.url}/old", b"one") == [(200, "token-3 one")]
    assert issuer.asked == 3


def test_a_request_is_not_sent_if_there_is_no_token_for_it(new_library, issuer, party):
    issuer.replies.append(refusal(401, "invalid_client"))
    with pytest.raises(KeyRejectedError):
        new_library().send("GET", party.url)
    assert party.received == []


def test_the_caller_learns_why_there_is_no_second_token(new_library, issuer, party):
    party.refused.add("token-1")
    library = new_library()
    issuer.rejected.clear()

    def respond(request):
        issuer.rejected.add(KEY)
        return Reply(401, b"no", {"WWW-Authenticate": INVALID_TOKEN}) if request.bearer else Reply()

    party.respond = respond
    with pytest.raises(KeyRejectedError):
        library.send("GET", party.url)
    assert len(party.received) == 1
