"""What is wrong with a set-up is told: at once by an error, or once a minute in the log."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from typing import Any

import jwt
import pytest
from tests.simulator import SimulatedIssuer, reason_of, simulated

from tokensvc.core.api_key import new_api_key
from tokensvc.verify import (
    InvalidTokenError,
    MissingTokenError,
    authorize,
    build_refusal_response,
)
from tokensvc.verify.testing import FakeIssuer


@pytest.fixture
def issuer():
    return FakeIssuer()


def list_lines(caplog, level=logging.WARNING):
    return [record.getMessage() for record in caplog.records if record.levelno == level]


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "wrong_issuer": ({"iss": "https://issuer.example/"}, {}, "https://issuer.example/"),
    "wrong_audience": ({"audience": "other"}, {"audience": ("api", "web")}, "'other'"),
    "algorithm_not_allowed": ({}, {"algorithms": ("RS256",)}, "'ES256'"),
}


@pytest.mark.parametrize("reason", WRONG)
def test_what_points_to_a_setting_is_a_warning_with_both_values(issuer, caplog, reason):
    said, options, value = WRONG[reason]
    verifier = issuer.verifier(**options)
    assert reason_of(verifier, issuer.token(**said)) == reason
    (line,) = list_lines(caplog)
    assert reason in line
    assert value in line
    wanted = options.get("audience") or options.get("algorithms") or issuer.issuer
    assert repr(wanted) in line


def test_a_token_of_another_type_is_named(issuer, caplog):
    verifier = issuer.verifier()
    assert reason_of(verifier, issuer.sign({"iss": "x"}, typ="logout+jwt")) == "wrong_type"
    assert reason_of(verifier, issuer.sign({}, typ="\n" * 3000)) == "wrong_type"
    (line,) = list_lines(caplog)
    assert "it says 'logout+jwt', and this verifier wants ('at+jwt'" in line


def test_a_token_of_another_service_is_named_although_nobody_here_knows_its_key(issuer, caplog):
    verifier, other = issuer.verifier(), FakeIssuer(issuer="https://staging.example")
    assert reason_of(verifier, other.token()) == "wrong_issuer"
    assert reason_of(verifier, other.sign({}, typ="JWT")) == "wrong_type"
    assert reason_of(verifier, FakeIssuer(issuer=issuer.issuer).token()) == "unknown_kid"
    first, second = list_lines(caplog)
    assert f"it says 'https://staging.example', and this verifier wants '{issuer.issuer}'" in first
    assert "it says 'jwt'" in second


def test_a_token_that_names_no_key_is_told_with_its_header(issuer, caplog):
    token = jwt.encode({"iss": issuer.issuer}, "secret" * 8, algorithm="HS256")
    assert reason_of(issuer.verifier(), token) == "bad_header"
    (line,) = list_lines(caplog)
    assert "it says {'typ': 'JWT', 'alg': 'HS256', 'kid': None}" in line
    assert "it is no token of this service" in line


def test_a_type_of_strangers_writes_no_long_line_and_no_second_one(issuer, caplog):
    assert reason_of(issuer.verifier(), issuer.sign({}, typ="\n" * 3000)) == "wrong_type"
    (line,) = list_lines(caplog)
    assert len(line) < 600
    assert "\n" not in line


def test_an_api_key_in_the_place_of_a_token_is_told_to_both_sides(issuer, caplog):
    verifier, key = issuer.verifier(), new_api_key("acme-").text
    with pytest.raises(InvalidTokenError) as refusal:
        verifier.verify(key)
    assert refusal.value.reason == "api_key"
    assert b"exchange it for an access token first" in build_refusal_response(refusal.value).body
    (line,) = list_lines(caplog)
    assert "an API key was sent in the place of a token" in line
    assert key not in caplog.text
    assert reason_of(verifier, key[:-1] + "!") == "malformed_token"
    assert reason_of(verifier, "x" * 36) == "malformed_token"


WAYS = ("Basic :{key}", "Basic id:{key}", "Basic {key}:", "{key}", "ApiKey {key}", "basic {key}")


@pytest.mark.parametrize("way", WAYS)
def test_an_api_key_that_is_not_sent_as_bearer_has_the_same_line_and_the_same_refusal(
    way, issuer, caplog
):
    key = new_api_key("acme-").text
    scheme, _, credential = way.format(key=key).rpartition(" ")
    if ":" in credential:
        credential = base64.b64encode(credential.encode()).decode()
    with pytest.raises(MissingTokenError) as refusal:
        authorize(issuer.verifier(), [f"{scheme} {credential}".lstrip()])
    assert refusal.value.headers == {"WWW-Authenticate": "Bearer"}
    (line,) = list_lines(caplog)
    assert "an API key was sent in the place of a token" in line
    assert key not in caplog.text
    assert credential not in caplog.text


@pytest.mark.parametrize("header", ["", "  ", "Basic", "Basic dXNlcjpwYXNz", "Digest user=a"])
def test_a_header_without_an_api_key_has_no_line(header, issuer, caplog):
    for headers in ([header], []):
        with pytest.raises(MissingTokenError):
            authorize(issuer.verifier(), headers)
    assert list_lines(caplog) == []


@pytest.mark.parametrize("reason", ["expired", "bad_signature", "malformed_token"])
def test_what_points_to_no_setting_is_no_warning(issuer, caplog, reason):
    token = {
        "expired": issuer.expired_token(),
        "bad_signature": issuer.tampered(),
        "malformed_token": "junk",
    }[reason]
    assert reason_of(issuer.verifier(), token) == reason
    assert list_lines(caplog) == []


@simulated
async def test_a_warning_comes_once_a_minute_and_counts_the_others(caplog):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        for _ in range(120):
            assert reason_of(verifier, issuer.issue(aud="billing")[0]) == "wrong_audience"
            await asyncio.sleep(1)
    first, second = list_lines(caplog)
    assert "more since" not in first
    assert second.endswith("(59 more since the last line)")


@simulated
async def test_a_denylist_that_goes_stale_and_comes_back_is_an_error_and_an_info(caplog):
    caplog.set_level("INFO", logger="tokensvc.verify")
    issuer = SimulatedIssuer()
    async with issuer.make_verifier():
        await asyncio.sleep(300)
        assert caplog.messages == []
        issuer.down = True
        await asyncio.sleep(120)
        (line,) = list_lines(caplog, logging.ERROR)
        assert line.startswith("every token is refused with 503 (denylist_stale)")
        issuer.down = False
        await asyncio.sleep(60)
        assert list_lines(caplog, logging.ERROR) == [line]
        (line,) = list_lines(caplog, logging.INFO)
        assert "are fresh again" in line


@simulated
async def test_a_stale_denylist_that_is_accepted_is_an_error_too(caplog):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(when_stale="accept"):
        issuer.down = True
        await asyncio.sleep(120)
    (line,) = list_lines(caplog, logging.ERROR)
    assert "revocations may be missing, and tokens are accepted nevertheless" in line


@simulated
async def test_an_issuer_that_calls_itself_otherwise_is_found_from_the_log_alone(caplog):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(issuer=f"{issuer.issuer}/") as verifier:
        await asyncio.sleep(5)
        assert reason_of(verifier, issuer.issue()[0]) == "no_denylist"
        assert verifier.status().denylist_error == "wrong_issuer"
    (line,) = list_lines(caplog, logging.ERROR)
    both = f"it says {issuer.issuer!r}, and {issuer.issuer + '/'!r} is followed"
    assert re.search(r"refused with 503 .no_denylist.", line)
    assert both in line
    assert both in list_lines(caplog)[0]


def test_a_token_needs_one_of_the_audiences(issuer):
    verifier = issuer.verifier(audience=("orders", "billing"))
    for audience in ("orders", "billing"):
        assert verifier.verify(issuer.token(audience=audience)).aud == audience
    for other in ("order", "api", ["orders"]):
        assert reason_of(verifier, issuer.token(aud=other)) in {
            "wrong_audience",
            "bad_claim_aud",
        }


def test_a_plain_token_is_accepted_only_where_that_was_said():
    issuer = FakeIssuer(typ="JWT")
    plain, told = issuer.token(), issuer.verifier()
    assert reason_of(issuer.verifier(typ="at+jwt"), plain) == "wrong_type"
    assert told.verify(plain).jti == told.verify(plain).jti
    issuer.typ = "at+jwt"  # an audience may have another type later
    assert reason_of(told, issuer.token()) is None
    assert reason_of(told, issuer.sign({}, typ="logout+jwt")) == "wrong_type"
