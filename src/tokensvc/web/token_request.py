"""Parsing a token request: three equal forms, one value.

1. `Authorization: Bearer <API key>`
2. `grant_type=client_credentials` with HTTP Basic `key id:API key`, or with `client_id` and
   `client_secret` in the body
3. `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` with the API key, or one of our
   tokens, as `subject_token`; a client may authenticate beside it, in each way of 1 and 2

Nothing is verified here: a subject token leaves as an `UnverifiedToken`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tokensvc.core.api_key import ApiKey, parse_api_key
from tokensvc.core.capability import parse_scope
from tokensvc.core.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidTargetError,
    InvalidTokenError,
    NoClientError,
    UnsupportedGrantTypeError,
)
from tokensvc.core.exchange import ExchangeRequest, refuse_credential
from tokensvc.core.token import parse_unverified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.authorization import Authorization
    from tokensvc.core.exchange import ShownAs
    from tokensvc.core.token import UnverifiedToken

CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
API_KEY_TYPE: Final = "urn:tokensvc:params:oauth:token-type:api-key"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"

_EXPIRES_IN: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


def parse_token_request(
    form: Mapping[str, str], client: Authorization | None, *, prefix: str
) -> ExchangeRequest:
    """Return what a token request asks for.

    `client` is what it shows of its sender, `prefix` that of our API keys. Raises the OAuthError
    that answers a malformed request.
    """
    credential: ApiKey | UnverifiedToken
    shown_as: ShownAs
    client_beside = None
    if form.get("grant_type") == TOKEN_EXCHANGE:
        credential, shown_as = _parse_subject(form, prefix), "subject_token"
        client_beside = _parse_client_beside(credential, client, prefix)
    else:
        credential, shown_as = _parse_client_key(form, client, prefix), "client_authentication"
    return ExchangeRequest(
        credential=credential,
        shown_as=shown_as,
        client=client_beside,
        client_id=None if client is None else client.client_id,
        scope=parse_scope(form["scope"]) if "scope" in form else None,
        audience=_parse_target(form),
        expires_in=_parse_expires_in(form),
    )


def _parse_client_key(form: Mapping[str, str], client: Authorization | None, prefix: str) -> ApiKey:
    """Return the API key that a client shows as its own."""
    grant_type = form.get("grant_type")
    if grant_type not in {None, CLIENT_CREDENTIALS}:
        raise UnsupportedGrantTypeError(
            "grant_type must be client_credentials or the token-exchange grant"
        )
    if client is None:
        raise NoClientError("no_credentials")
    # Only the Bearer form is ours alone. What looks like OAuth must say which grant it means.
    if grant_type is None and client.scheme == "Basic":
        raise InvalidRequestError(
            "grant_type is required with Basic authentication and with client_secret"
        )
    return parse_api_key(client.secret, prefix)


def _parse_client_beside(
    subject: ApiKey | UnverifiedToken, client: Authorization | None, prefix: str
) -> ApiKey | None:
    """Return the API key of the client that authenticates beside its subject token, if one does.

    A subject token that is an API key is a client already, and another one beside it is refused.
    """
    if client is None:
        return None
    key = parse_api_key(client.secret, prefix)
    if isinstance(subject, ApiKey) and key.digest != subject.digest:
        raise InvalidClientError("another_key")
    return key


def _parse_subject(form: Mapping[str, str], prefix: str) -> ApiKey | UnverifiedToken:
    """Return the subject token of an exchange (RFC 8693 section 2.1)."""
    if "actor_token" in form or "actor_token_type" in form:
        raise InvalidRequestError("actor_token is not supported")
    if form.get("requested_token_type", ACCESS_TOKEN_TYPE) not in {ACCESS_TOKEN_TYPE, JWT_TYPE}:
        raise InvalidRequestError("requested_token_type must be the access_token or jwt type")
    text, kind = form.get("subject_token"), form.get("subject_token_type")
    if text is None or kind is None:
        raise InvalidRequestError(
            "subject_token and subject_token_type are required (RFC 8693 section 2.1)"
        )
    if kind not in {API_KEY_TYPE, ACCESS_TOKEN_TYPE, JWT_TYPE}:
        raise InvalidRequestError(
            f"subject_token_type must be {API_KEY_TYPE}, {ACCESS_TOKEN_TYPE} or {JWT_TYPE}"
        )
    try:
        return parse_api_key(text, prefix) if kind == API_KEY_TYPE else parse_unverified(text)
    except (InvalidClientError, InvalidTokenError) as error:
        raise refuse_credential("subject_token", error.reason) from error


def _parse_target(form: Mapping[str, str]) -> str | None:
    """Return the audience that is asked for, None if none is named."""
    audience, resource = form.get("audience"), form.get("resource")
    if resource is None:
        return audience
    if not _is_absolute_uri(resource):
        raise InvalidTargetError(
            "resource must be an absolute URI without a fragment (RFC 8707 section 2)"
        )
    # Both name the same thing here (RFC 8693 and RFC 8707), and a token has one audience.
    if audience not in {None, resource}:
        raise InvalidTargetError("a token is for one audience: audience and resource differ")
    return resource


def _is_absolute_uri(text: str) -> bool:
    try:
        return bool(urlsplit(text).scheme) and "#" not in text
    except ValueError:
        return False


def _parse_expires_in(form: Mapping[str, str]) -> int | None:
    text = form.get("expires_in")
    if text is None:
        return None
    if not _EXPIRES_IN.fullmatch(text):
        raise InvalidRequestError("expires_in must be a whole number of seconds, at least 1")
    return int(text)
