"""The one reader of credentials: what a header says, and what each kind of endpoint takes."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.authorization import (
    Authorization,
    find_scheme,
    parse_authorization,
    parse_bearer,
    parse_client,
)
from tokensvc.core.errors import (
    AuthorizationError,
    InvalidClientError,
    InvalidRequestError,
    MalformedAuthorizationError,
    MissingTokenError,
)

B64TOKEN = r"[A-Za-z0-9._~+/-]+=*"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def reason_of(headers):
    with pytest.raises(AuthorizationError) as error:
        parse_authorization(headers)
    return error.value.reason, error.value.is_bad_request


def test_without_a_header_there_is_no_credential():
    assert parse_authorization([]) is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer t.o.k",
        "bearer t.o.k",
        "BEARER t.o.k",
        "bEaReR t.o.k",
        "Bearer   t.o.k",
        " \tBearer t.o.k \t",
    ],
)
def test_the_scheme_is_read_in_any_case_and_blanks_around_do_not_count(header):
    assert parse_authorization([header]) == Authorization(scheme="Bearer", secret="t.o.k")


@given(st.from_regex(B64TOKEN, fullmatch=True))
def test_every_b64token_is_read_as_it_is(credential):
    shown = parse_authorization([f"Bearer {credential}"])
    assert shown == Authorization(scheme="Bearer", secret=credential)


@given(st.text(max_size=20) | st.text("aZ9-._~+/=", max_size=5))
def test_no_other_text_is_taken_for_a_bearer_credential(text):
    headers = [f"Bearer {text}"]
    credential = text.strip(" \t")
    if re.fullmatch(B64TOKEN, credential):
        assert parse_authorization(headers) == Authorization(scheme="Bearer", secret=credential)
    else:
        assert reason_of(headers)[1], "it is malformed for everybody"


@given(st.lists(st.text(max_size=20), max_size=3))
def test_no_header_does_harm(headers):
    try:
        shown = parse_authorization(headers)
    except AuthorizationError:
        return
    assert (shown is None) == (headers == [])


BAD_REQUESTS = {
    "two headers": (["Bearer a", "Bearer b"], "two_authorization_headers"),
    "two of different schemes": (["Basic YTpi", "Bearer b"], "two_authorization_headers"),
    "two that were joined": (["Bearer a,Bearer b"], "two_authorization_headers"),
    "two that were joined with a space": (["Bearer a, Bearer b"], "two_authorization_headers"),
    "two Basic that were joined": (["Basic YTpi, Basic YTpi"], "two_authorization_headers"),
    "a comma alone": (["Bearer ,"], "two_authorization_headers"),
    "no credential": (["Bearer"], "empty_bearer"),
    "blanks for a credential": (["Bearer  \t"], "empty_bearer"),
    "a space within": (["Bearer a b"], "malformed_bearer"),
    "a newline behind": (["Bearer a\n"], "malformed_bearer"),
    "a NUL": (["Bearer a\0"], "malformed_bearer"),
    "a foreign digit": (["Bearer \u0661"], "malformed_bearer"),
    "a letter that folds to an ASCII one": (["Bearer \u212a"], "malformed_bearer"),
    "padding alone": (["Bearer =="], "malformed_bearer"),
    "padding within": (["Bearer a=b"], "malformed_bearer"),
}
NO_USE = {
    "an empty header": ([""], "unknown_scheme"),
    "blanks": (["  "], "unknown_scheme"),
    "another scheme": (["Digest x"], "unknown_scheme"),
    "another scheme with commas": (['Digest a="b", c="d"'], "unknown_scheme"),
    "a scheme that begins alike": (["Bearers a"], "unknown_scheme"),
    "a tab instead of a space": (["Bearer\ta"], "unknown_scheme"),
    "a space that is no space": (["Bearer\u00a0a"], "unknown_scheme"),
    "a credential without a scheme": (["tsk-0123"], "unknown_scheme"),
    "Basic without a credential": (["Basic"], "malformed_basic"),
    "Basic that is no base64": (["Basic !!!"], "malformed_basic"),
    "Basic that lacks its padding": (["Basic YTpiYw="], "malformed_basic"),
    "Basic in other letters": (["Basic \u00fc\u00fc"], "malformed_basic"),
    "Basic that is no UTF-8": (["Basic //79"], "malformed_basic"),
    "Basic without a colon": (["Basic bm9jb2xvbg=="], "malformed_basic"),
    "Basic with a NUL": ([basic("key_%00", "x")], "malformed_basic"),
    "Basic with a newline": ([basic("key", "x\n")], "malformed_basic"),
    "Basic with DEL": ([basic("key", "x%7F")], "malformed_basic"),
}


@pytest.mark.parametrize(("headers", "reason"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_malformed_header_is_a_bad_request_for_everybody(headers, reason):
    assert reason_of(headers) == (reason, True)
    with pytest.raises(MalformedAuthorizationError) as of_server:
        parse_bearer(headers)
    with pytest.raises(InvalidRequestError) as of_endpoint:
        parse_client(headers, {})
    assert (of_server.value.status, of_server.value.code) == (400, "invalid_request")
    assert of_server.value.reason == of_endpoint.value.reason == reason


@pytest.mark.parametrize(("headers", "reason"), NO_USE.values(), ids=NO_USE)
def test_a_header_of_no_use_is_a_missing_token_and_a_refused_client(headers, reason):
    assert reason_of(headers) == (reason, False)
    with pytest.raises(MissingTokenError):
        parse_bearer(headers)
    with pytest.raises(InvalidClientError) as error:
        parse_client(headers, {})
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("header", "client_id", "secret"),
    [
        (basic("key_1", "tsk-x"), "key_1", "tsk-x"),
        (basic("key_1", "tsk-x").replace("Basic ", "bASIC   ") + " ", "key_1", "tsk-x"),
        (basic("key%5F1", "%74sk-x"), "key_1", "tsk-x"),
        (basic("a+b", "c%3Ad"), "a b", "c:d"),
        (basic("key_1", "a:b"), "key_1", "a:b"),
        (basic("", ""), "", ""),
        (basic("\u00fc", "\u00e4"), "\u00fc", "\u00e4"),
    ],
)
def test_basic_is_decoded_after_its_colon_is_found(header, client_id, secret):
    assert parse_authorization([header]) == Authorization(
        scheme="Basic", secret=secret, client_id=client_id
    )


def test_a_resource_server_takes_nothing_but_a_token():
    assert parse_bearer(["Bearer t.o.k"]) == "t.o.k"
    for headers in ([], [basic("key_1", "x")]):
        with pytest.raises(MissingTokenError):
            parse_bearer(headers)


BEARER, BASIC = "Bearer tsk-x", basic("key_1", "tsk-x")


@pytest.mark.parametrize(
    ("headers", "form", "client"),
    [
        ([], {}, None),
        ([], {"client_id": "key_1"}, None),
        ([BEARER], {}, ("Bearer", "tsk-x", None)),
        ([BEARER], {"client_id": "key_1"}, ("Bearer", "tsk-x", "key_1")),
        ([BASIC], {}, ("Basic", "tsk-x", "key_1")),
        ([BASIC], {"client_id": "key_1"}, ("Basic", "tsk-x", "key_1")),
        ([], {"client_id": "key_1", "client_secret": "tsk-x"}, ("Basic", "tsk-x", "key_1")),
        ([], {"client_secret": "tsk-x"}, ("Basic", "tsk-x", "")),
    ],
)
def test_a_client_shows_itself_in_the_header_or_in_the_form(headers, form, client):
    shown = parse_client(headers, form)
    assert client == (None if shown is None else (shown.scheme, shown.secret, shown.client_id))


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (BEARER, {"client_secret": "tsk-x"}),
        (BASIC, {"client_id": "key_1", "client_secret": "tsk-x"}),
        (BASIC, {"client_id": "key_2"}),
    ],
)
def test_two_clients_in_one_request_are_a_malformed_request(header, form):
    with pytest.raises(InvalidRequestError):
        parse_client([header], form)


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        (["Basic x"], "Basic"),
        ([" bASIC"], "Basic"),
        (["Bearer x"], "Bearer"),
        (["Digest x"], "Bearer"),
        ([""], "Bearer"),
        ([], "Bearer"),
    ],
)
def test_the_challenge_names_the_scheme_that_was_tried(headers, scheme):
    assert find_scheme(headers) == scheme


def test_a_credential_does_not_show_in_its_repr():
    assert "tsk-x" not in repr(Authorization(scheme="Bearer", secret="tsk-x"))
