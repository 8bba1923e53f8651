"""Parsing a token request: three equal forms, one value.

1. `Authorization: Bearer <API key>`
2. `grant_type=client_credentials` with HTTP Basic `key id:API key`, or `client_id` and `client_secret` in the body
3. `grant_type=urn:ietf:params:oauth:grant-type:token-exchange` with the API key, or one of our tokens, as `subject_token`
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote_plus, urlsplit

from tokensvc.core.api_key import parse_api_key
from tokensvc.core.capability import parse_scope
from tokensvc.core.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidSubjectTokenError,
    InvalidTargetError,
    UnsupportedGrantTypeError,
)
from tokensvc.core.exchange import ExchangeRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.exchange import SubjectToken

CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name, not a secret
API_KEY_TYPE: Final = "urn:tokensvc:params:oauth:token-type:api-key"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"

Scheme = Literal["Bearer", "Basic"]

_EXPIRES_IN = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What stood in the Authorization header."""

    scheme: Scheme
    secret: str
    client_id: str | None = None


def parse_authorization(headers: Sequence[str]) -> Authorization | None:
    """Return what the Authorization headers say; None without one. Raises InvalidRequestError, InvalidClientError."""
    if not headers:
        return None
    if len(headers) > 1:
        raise InvalidRequestError("the Authorization header stands twice")
    scheme, _, value = headers[0].strip().partition(" ")
    if scheme.lower() == "bearer":
        return Authorization("Bearer", value.strip())
    if scheme.lower() == "basic":
        return _parse_basic(value.strip())
    raise InvalidClientError("unknown_scheme")


def find_scheme(headers: Sequence[str], form: Mapping[str, str]) -> Scheme:
    """Return the scheme to challenge with: the one that the client tried (RFC 6749 section 5.2)."""
    if headers:
        return "Basic" if headers[0].lower().startswith("basic") else "Bearer"
    return "Basic" if form.get("grant_type") == CLIENT_CREDENTIALS else "Bearer"


def parse_token_request(
    form: Mapping[str, str],
    authorization: Authorization | None,
    *,
    prefix: str,
    check_subject_token: Callable[[str], SubjectToken],
) -> ExchangeRequest:
    """Return what a token request asks for. Raises the OAuthError that answers a malformed one."""
    grant_type = form.get("grant_type")
    client_id = None
    credential: ApiKey | SubjectToken
    if grant_type == TOKEN_EXCHANGE:
        credential = _parse_subject(form, authorization, prefix, check_subject_token)
    elif grant_type in {None, CLIENT_CREDENTIALS}:
        secret, client_id = _parse_client(form, authorization)
        credential = parse_api_key(secret, prefix)
    else:
        raise UnsupportedGrantTypeError(
            "grant_type must be client_credentials or the token-exchange grant"
        )
    return ExchangeRequest(
        credential=credential,
        client_id=client_id,
        scope=parse_scope(form["scope"]) if "scope" in form else None,
        audience=_parse_target(form),
        expires_in=_parse_expires_in(form),
    )


def _parse_client(
    form: Mapping[str, str], authorization: Authorization | None
) -> tuple[str, str | None]:
    is_basic = authorization is not None and authorization.scheme == "Basic"
    if "grant_type" not in form and ("client_secret" in form or is_basic):
        raise InvalidRequestError(
            "grant_type is required with Basic authentication and with client_secret"
        )
    if authorization is None:
        if "client_secret" not in form:
            raise InvalidClientError("no_credentials")
        return form["client_secret"], form.get("client_id", "")
    if "client_secret" in form:
        raise InvalidRequestError("two credentials: the Authorization header and client_secret")
    client_id = form.get("client_id", authorization.client_id)
    if authorization.client_id not in {None, client_id}:
        raise InvalidRequestError(
            "client_id in the body is not the user of the Authorization header"
        )
    return authorization.secret, client_id


def _parse_subject(
    form: Mapping[str, str],
    authorization: Authorization | None,
    prefix: str,
    check_subject_token: Callable[[str], SubjectToken],
) -> ApiKey | SubjectToken:
    if authorization is not None or "client_secret" in form:
        raise InvalidRequestError(
            "two credentials: the subject_token is the only one that a token exchange takes"
        )
    if "actor_token" in form or "actor_token_type" in form:
        raise InvalidRequestError("actor_token is not supported")
    if form.get("requested_token_type", ACCESS_TOKEN_TYPE) not in {ACCESS_TOKEN_TYPE, JWT_TYPE}:
        raise InvalidRequestError("requested_token_type must be the access_token or jwt type")
    if "subject_token" not in form or "subject_token_type" not in form:
        raise InvalidRequestError(
            "subject_token and subject_token_type are required (RFC 8693 section 2.1)"
        )
    text, kind = form["subject_token"], form["subject_token_type"]
    if kind == API_KEY_TYPE:
        try:
            return parse_api_key(text, prefix)
        except InvalidClientError as error:
            raise InvalidSubjectTokenError(error.reason) from error
    if kind == ACCESS_TOKEN_TYPE:
        return check_subject_token(text)
    raise InvalidRequestError(f"subject_token_type must be {API_KEY_TYPE} or {ACCESS_TOKEN_TYPE}")


def _parse_basic(value: str) -> Authorization:
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except ValueError as error:  # not base64, not ASCII, not UTF-8
        raise InvalidClientError("malformed_basic") from error
    user, colon, password = text.partition(":")
    if not colon:
        raise InvalidClientError("malformed_basic")
    user, password = unquote_plus(user), unquote_plus(password)  # RFC 6749 section 2.3.1
    if "\0" in user or "\0" in password:
        raise InvalidClientError("malformed_basic")
    return Authorization("Basic", password, user)


def _parse_target(form: Mapping[str, str]) -> str | None:
    audience, resource = form.get("audience"), form.get("resource")
    if resource is not None:
        try:
            parts = urlsplit(resource)
        except ValueError:
            parts = urlsplit("")
        if not parts.scheme or parts.fragment or "#" in resource:
            raise InvalidTargetError(
                "resource must be an absolute URI without a fragment (RFC 8707 section 2)"
            )
    if audience is not None and resource is not None and audience != resource:
        raise InvalidTargetError("a token is for one audience: audience and resource differ")
    return resource if audience is None else audience


def _parse_expires_in(form: Mapping[str, str]) -> int | None:
    text = form.get("expires_in")
    if text is None:
        return None
    if not _EXPIRES_IN.fullmatch(text):
        raise InvalidRequestError("expires_in must be a whole number of seconds, at least 1")
    return int(text)
