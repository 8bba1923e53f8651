"""Libraries that know nothing of us get tokens, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tests.e2e.calls import AUDIENCE, Key, call, exchange, new_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.processes import ServiceProcess


@pytest.fixture(autouse=True)
def _plain_http_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture(scope="module")
def process(
    new_shared_process: Callable[..., ServiceProcess], shared_database_url: str
) -> ServiceProcess:
    started = new_shared_process(TOKENSVC_DATABASE_URL=shared_database_url)
    started.wait_until_ready()
    return started


@pytest.fixture(scope="module")
def key(process: ServiceProcess) -> Key:
    return new_key(process)


def check(claims: dict[str, Any], process: ServiceProcess, key: Key) -> None:
    assert (claims["iss"], claims["aud"], claims["client_id"], claims["scope"]) == (
        process.url,
        AUDIENCE,
        key.id,
        "orders:read",
    )


def check_with_pyjwt(token: str, process: ServiceProcess, key: Key) -> None:
    signing_key = jwt.PyJWKClient(f"{process.url}/.well-known/jwks.json").get_signing_key_from_jwt(
        token
    )
    check(
        jwt.decode(
            token, signing_key.key, algorithms=["ES256"], audience=AUDIENCE, issuer=process.url
        ),
        process,
        key,
    )


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_gets_a_token_that_pyjwt_verifies(process, key, method):
    with AuthlibSession(
        key.id, key.text, token_endpoint_auth_method=method, scope="orders:read"
    ) as session:
        token = session.fetch_token(f"{process.url}/v1/token", grant_type="client_credentials")
    assert (token["token_type"], token["expires_in"], token["scope"]) == (
        "Bearer",
        600,
        "orders:read",
    )
    check_with_pyjwt(token["access_token"], process, key)


@pytest.mark.parametrize("in_body", [False, True])
def test_requests_oauthlib_gets_a_token_that_pyjwt_verifies(process, key, in_body):
    with OAuth2Session(
        client=BackendApplicationClient(client_id=key.id, scope=["orders:read"])
    ) as session:
        url = f"{process.url}/v1/token"
        if in_body:
            token = session.fetch_token(url, client_secret=key.text, include_client_id=True)
        else:
            token = session.fetch_token(url, auth=HTTPBasicAuth(key.id, key.text))
    check_with_pyjwt(token["access_token"], process, key)


def test_a_client_finds_everything_in_the_metadata(process, key):
    metadata = call(f"{process.url}/.well-known/oauth-authorization-server").json
    assert metadata["issuer"] == process.url
    with AuthlibSession(
        key.id, key.text, token_endpoint_auth_method="client_secret_basic"
    ) as session:
        token = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")[
            "access_token"
        ]
    signing_key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    check(
        jwt.decode(
            token, signing_key.key, algorithms=["ES256"], audience=AUDIENCE, issuer=process.url
        ),
        process,
        key,
    )


def test_authlib_asks_whether_a_token_is_live_and_revokes_it(process, key):
    metadata = call(f"{process.url}/.well-known/oauth-authorization-server").json
    asker, token = (
        new_key(process, capability="tokensvc:introspect"),
        exchange(process.url, key.text),
    )
    with AuthlibSession(
        asker.id, asker.text, token_endpoint_auth_method="client_secret_basic"
    ) as session:
        live = session.introspect_token(
            metadata["introspection_endpoint"], token=token, token_type_hint="access_token"
        ).json()
        check(live, process, key)
        assert live["active"] is True
        assert (
            session.revoke_token(
                metadata["revocation_endpoint"], token=token, token_type_hint="refresh_token"
            ).status_code
            == 200
        )
        assert session.introspect_token(metadata["introspection_endpoint"], token=token).json() == {
            "active": False
        }


TOKEN_EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_authlib_exchanges_a_token_beside_which_it_authenticates(process, key, method):
    metadata = call(f"{process.url}/.well-known/oauth-authorization-server").json
    assert method in metadata["token_endpoint_auth_methods_supported"]
    subject = exchange(process.url, key.text)
    with AuthlibSession(key.id, key.text, token_endpoint_auth_method=method) as session:
        answer = session.fetch_token(
            metadata["token_endpoint"], subject_token=subject, scope="orders:read", **TOKEN_EXCHANGE
        )
    assert answer["issued_token_type"] == TOKEN_EXCHANGE["subject_token_type"]
    check_with_pyjwt(answer["access_token"], process, key)


def test_t6_authlib_names_another_audience_only_if_it_shows_the_key(process, key):
    subject = exchange(process.url, key.text)
    asked = {"subject_token": subject, "audience": "tokensvc", **TOKEN_EXCHANGE}
    audiences = {}
    for method in ("client_secret_basic", "none"):
        with AuthlibSession(key.id, key.text, token_endpoint_auth_method=method) as session:
            try:
                token = session.fetch_token(f"{process.url}/v1/token", **asked)["access_token"]
            except OAuthError as error:
                audiences[method] = error.error
            else:
                audiences[method] = jwt.decode(token, options={"verify_signature": False})["aud"]
    assert audiences == {"client_secret_basic": "tokensvc", "none": "invalid_target"}


@pytest.mark.parametrize("in_body", [False, True])
def test_requests_oauthlib_exchanges_a_token_beside_which_it_authenticates(process, key, in_body):
    subject = exchange(process.url, key.text)
    client = BackendApplicationClient(client_id=key.id, scope=["orders:read"])
    client.grant_type = TOKEN_EXCHANGE["grant_type"]
    asked: dict[str, Any] = TOKEN_EXCHANGE | {"subject_token": subject}
    del asked["grant_type"]
    shown: dict[str, Any] = (
        {"client_secret": key.text, "include_client_id": True}
        if in_body
        else {"auth": HTTPBasicAuth(key.id, key.text)}
    )
    with OAuth2Session(client=client) as session:
        token = session.fetch_token(f"{process.url}/v1/token", **asked, **shown)
    check_with_pyjwt(token["access_token"], process, key)
