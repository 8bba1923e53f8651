"""The testing kit of relying parties: it must accept and refuse as the real issuer does."""

from __future__ import annotations

import asyncio

import aiohttp
import jwt
import pytest
from testbed.waiting import PATIENCE, until
from tests.simulator import reason_of

from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.token import read_unverified
from tokensvc.verify import Verifier
from tokensvc.verify._fake_transport import InMemoryFetcher
from tokensvc.verify.testing import ACCOUNT, AUDIENCE, ISSUER, KEY, FakeIssuer

pytest_plugins = ["tokensvc.verify.testing_pytest"]

NOON = 1_795_435_200.0


def test_its_tokens_are_good_and_have_the_claims_asked_for():
    issuer = FakeIssuer(issuer="https://auth.example.com", now=lambda: NOON, audience="orders-api")
    token = issuer.token(
        scope=("a:b", "c:d"), expires_in=30, sub="acct_me", more="x", origin_jti="before"
    )
    claims = issuer.verifier().verify(token)
    assert (claims.iss, claims.aud, claims.sub, claims.client_id) == (
        "https://auth.example.com",
        "orders-api",
        "acct_me",
        KEY,
    )
    assert (claims.scope, claims.iat, claims.exp, claims.origin_jti) == (
        ("a:b", "c:d"),
        NOON,
        NOON + 30,
        "before",
    )
    assert read_unverified(token)[1]["more"] == "x"
    assert "jti" not in read_unverified(issuer.token(jti=None))[1]
    assert reason_of(issuer.verifier(audience="billing"), issuer.token(audience="billing")) is None


def test_each_of_its_bad_tokens_is_refused_for_one_reason(fake_issuer, fake_verifier):
    assert reason_of(fake_verifier, fake_issuer.expired_token()) == "expired"
    assert reason_of(fake_verifier, fake_issuer.wrong_audience()) == "wrong_audience"
    assert reason_of(fake_verifier, fake_issuer.tampered()) == "bad_signature"
    assert reason_of(fake_verifier, fake_issuer.token(jti=None)) == "bad_claim_jti"
    assert reason_of(fake_verifier, fake_issuer.sign({}, typ="JWT")) == "wrong_type"
    assert reason_of(fake_verifier, FakeIssuer().token()) == "unknown_kid"


def test_old_tokens_survive_a_rotation_but_not_the_removal_of_their_key(fake_issuer, fake_verifier):
    before = fake_issuer.token()
    old = fake_issuer.signer
    fake_issuer.rotate()
    after = fake_issuer.token()
    assert (reason_of(fake_verifier, before), reason_of(fake_verifier, after)) == (None, None)
    fake_issuer.withdraw(old.kid)
    assert (reason_of(fake_verifier, before), reason_of(fake_verifier, after)) == (
        "unknown_kid",
        None,
    )


def test_an_algorithm_that_the_verifier_was_not_told_of_is_refused(fake_issuer, fake_verifier):
    fake_issuer.rotate("EdDSA")
    assert reason_of(fake_verifier, fake_issuer.token()) == "algorithm_not_allowed"
    assert reason_of(FakeIssuer(alg="EdDSA").verifier(), fake_issuer.token()) == "unknown_kid"


@pytest.mark.parametrize("kind", ["token", "jti", "key", "account", "kid"])
def test_every_kind_of_revocation_is_known_at_once(fake_issuer, fake_verifier, kind):
    token = fake_issuer.token()
    other = fake_issuer.token(sub="acct_other", client_id="key_other")
    values = {
        "token": token,
        "jti": read_unverified(token)[1]["jti"],
        "key": KEY,
        "account": ACCOUNT,
        "kid": fake_issuer.signer.kid,
    }
    assert reason_of(fake_verifier, token) is None
    fake_issuer.revoke(**{kind: values[kind]})
    assert reason_of(fake_verifier, token) == f"revoked_{kind.replace('token', 'jti')}"
    assert reason_of(fake_verifier, other) == ("revoked_kid" if kind == "kid" else None)
    assert reason_of(fake_verifier, fake_issuer.token(iat=int(fake_issuer.now()) + 1)) is None


def test_the_denylist_is_stale_while_the_issuer_is_silent(fake_issuer, fake_verifier, fake_token):
    token = fake_token()
    fake_issuer.go_stale()
    assert (
        reason_of(fake_verifier, token)
        == reason_of(fake_issuer.verifier(), token)
        == "denylist_stale"
    )
    assert reason_of(fake_issuer.verifier(when_stale="accept"), token) is None
    fake_issuer.revoke(token=token)
    assert reason_of(fake_verifier, token) == "denylist_stale"
    fake_issuer.recover()
    assert reason_of(fake_verifier, token) == "revoked_jti"


def test_time_passes_only_when_told_to(fake_issuer, fake_verifier, fake_token):
    token = fake_token(expires_in=60)
    fake_issuer.advance(80)
    assert reason_of(fake_verifier, token) is None  # the leeway
    fake_issuer.advance(20)
    assert reason_of(fake_verifier, token) == "expired"
    assert reason_of(fake_verifier, fake_token()) is None
    fake_issuer.advance(86_400)
    assert reason_of(fake_verifier, fake_token()) is None


async def test_a_started_verifier_learns_of_everything_too():
    issuer = FakeIssuer()
    verifier = issuer.verifier(feed_wait=0, http_timeout=0.5)
    async with verifier:
        token = issuer.token()
        assert reason_of(verifier, token) is None
        issuer.go_stale()
        await until(lambda: verifier.status().denylist_error is not None)
        issuer.recover()
        issuer.revoke(token=token)
        assert reason_of(verifier, token) == "revoked_jti"


async def test_the_in_memory_fetcher_answers_with_the_whole_denylist():
    issuer = FakeIssuer()
    issuer.revoke(jti="j")
    page = read_unverified(await InMemoryFetcher(issuer).fetch_page("", None, 0))[1]
    assert (page["full"], len(page["entries"])) == (True, 1)


def test_one_verifier_can_be_used_in_one_event_loop_after_another(
    fake_issuer, fake_verifier, caplog
):
    async def use(*, silent: bool) -> None:
        async with fake_verifier:
            await asyncio.sleep(0.01)
            assert reason_of(fake_verifier, fake_issuer.token()) == (
                "denylist_stale" if silent else None
            )

    asyncio.run(use(silent=False))
    asyncio.run(use(silent=False))
    fake_issuer.go_stale()
    assert caplog.text == ""
    asyncio.run(use(silent=True))
    assert "every token is refused with 503 (denylist_stale)" in caplog.text


async def test_it_serves_followers_over_http():
    issuer = FakeIssuer()
    assert issuer.issuer == ISSUER
    async with (
        issuer.serve() as url,
        Verifier(issuer=url, audience=AUDIENCE, jwks_cooldown=0.05) as verifier,
    ):
        assert issuer.issuer == url
        token = issuer.token()
        assert reason_of(verifier, token) is None
        issuer.revoke(token=token)
        await until(lambda: reason_of(verifier, token) == "revoked_jti")
        issuer.rotate()
        fresh = issuer.token()
        await until(lambda: reason_of(verifier, fresh) is None)
        issuer.go_stale()
        await until(lambda: verifier.status().denylist_error is not None)
        issuer.recover()
        await until(lambda: verifier.status().denylist_error is None)


async def test_what_it_serves_is_what_the_service_serves():
    issuer = FakeIssuer(issuer="https://auth.example.com", max_age=7)
    async with issuer.serve() as url, aiohttp.ClientSession(url) as session:
        assert issuer.issuer == "https://auth.example.com"
        async with session.get("/.well-known/jwks.json") as answer:
            assert (await answer.read(), answer.headers["Cache-Control"]) == (
                issuer.jwks,
                "public, max-age=7",
            )
            etag = answer.headers["ETag"]
        async with session.get("/.well-known/jwks.json", headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304
        for path in ("oauth-authorization-server", "openid-configuration"):
            async with session.get(f"/.well-known/{path}") as answer:
                assert await answer.json() == {
                    "issuer": issuer.issuer,
                    "jwks_uri": f"{url}/.well-known/jwks.json",
                }
        async with session.get("/v1/denylist") as answer:
            assert answer.content_type == "application/denylist+jwt"
            page = read_unverified(await answer.text())[1]
        query = {"after": page["cursor"], "wait": "0"}
        async with session.get("/v1/denylist", params=query) as answer:
            assert read_unverified(await answer.text())[1]["entries"] == []
        issuer.revoke(jti="j")
        async with session.get("/v1/denylist", params=query) as answer:
            page = read_unverified(await answer.text())[1]
            assert (page["full"], [entry["jti"] for entry in page["entries"]]) == (False, ["j"])


async def test_its_end_does_not_wait_for_long_polls():
    issuer, trace, sent = FakeIssuer(), aiohttp.TraceConfig(), asyncio.Event()

    async def note(*_: object) -> None:
        sent.set()

    trace.on_request_headers_sent.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        async with issuer.serve() as url:
            query = {"after": str(issuer.log.head), "wait": "30"}
            waiting = asyncio.create_task(session.get(f"{url}/v1/denylist", params=query))
            await asyncio.wait_for(sent.wait(), PATIENCE)
            async with session.get(f"{url}/.well-known/jwks.json"):
                pass  # what was sent before this has arrived
        async with asyncio.timeout(PATIENCE), await waiting as answer:
            assert answer.status == 503
        assert issuer.listeners == []


async def test_another_library_accepts_its_tokens():
    issuer = FakeIssuer()
    async with issuer.serve() as url:
        client = jwt.PyJWKClient(f"{url}/.well-known/jwks.json")
        token = issuer.token()
        key = await asyncio.to_thread(client.get_signing_key_from_jwt, token)
        assert (
            jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=url, leeway=5)[
                "sub"
            ]
            == ACCOUNT
        )


def test_f33_a_verifier_that_comes_late_learns_more_than_one_page_of_revocations():
    issuer = FakeIssuer()
    for number in range(5_001):
        issuer.append(Revocation("jti", f"jti{number:017}", 2_000_000_000))
    assert issuer.verifier().status().denylist_entries == 5_001
