"""The one reader of credentials: the Authorization header, and the form that may stand for it.

    parse_authorization   what the header says (RFC 9110 section 11.6.2)
    parse_bearer          what a resource server takes from it: a token (RFC 6750 section 2.1)
    parse_client          what an OAuth endpoint takes from it: a client (RFC 6749 section 2.3)

The same header has the same outcome at every endpoint of a kind:

    Authorization header                        OAuth endpoint        resource server
    ------------------------------------------  --------------------  --------------------
    none                                        no client is shown    401, bare challenge
    two, also two that were joined by a comma   400 invalid_request   400 invalid_request
    Bearer without a credential, or with        400 invalid_request   400 invalid_request
      characters that no credential may have
    Basic that cannot be decoded                401 invalid_client    401, bare challenge
    another scheme, or an empty header          401 invalid_client    401, bare challenge
    Basic                                       a client              401, bare challenge
    Bearer                                      a client              a token

Not here: whether the credential is any good.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote_plus

from tokensvc.core.errors import (
    AuthorizationError,
    InvalidRequestError,
    MalformedAuthorizationError,
    MissingTokenError,
    NoClientError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Scheme = Literal["Bearer", "Basic"]

# The whole of a usual header. A credential is a b64token (RFC 6750 section 2.1).
_BEARER: Final = re.compile(r"[ \t]*[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)[ \t]*")
_BLANKS: Final = " \t"
# RFC 7617 section 2 allows none of these in a user or a password.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A credential as it was shown. `client_id` is what the sender says of itself, if it does."""

    scheme: Scheme
    secret: str = field(repr=False)
    client_id: str | None = None


def parse_authorization(headers: Sequence[str]) -> Authorization | None:
    """Return what the values of all Authorization headers say, None if there are none.

    The scheme is read in any case, and one or more spaces follow it. Raises AuthorizationError.
    """
    if not headers:
        return None
    if len(headers) > 1:
        raise AuthorizationError("two_authorization_headers", is_bad_request=True)
    # A b64token holds no comma, so two headers that were joined never match here.
    bearer = _BEARER.fullmatch(headers[0])
    if bearer is not None:
        return Authorization(scheme="Bearer", secret=bearer[1])
    scheme, _, credential = headers[0].strip(_BLANKS).partition(" ")
    scheme, credential = scheme.lower(), credential.strip(_BLANKS)
    if scheme not in {"bearer", "basic"}:
        raise AuthorizationError("unknown_scheme", is_bad_request=False)
    if "," in credential:  # some servers join two headers like this (RFC 9110 section 5.3)
        raise AuthorizationError("two_authorization_headers", is_bad_request=True)
    if scheme == "basic":
        return _parse_basic(credential)
    reason = "malformed_bearer" if credential else "empty_bearer"
    raise AuthorizationError(reason, is_bad_request=True)


def parse_bearer(headers: Sequence[str]) -> str:
    """Return the token that a request to a resource server shows.

    Raises MissingTokenError, MalformedAuthorizationError.
    """
    try:
        shown = parse_authorization(headers)
    except AuthorizationError as error:
        if error.is_bad_request:
            raise MalformedAuthorizationError(error.reason) from error
        raise MissingTokenError from error
    if shown is None or shown.scheme != "Bearer":
        raise MissingTokenError
    return shown.secret


def parse_client(headers: Sequence[str], form: Mapping[str, str]) -> Authorization | None:
    """Return the client that a request to an OAuth endpoint shows, None if it shows none.

    `client_id` and `client_secret` in the form mean the same as Basic (RFC 6749 section 2.3.1). A
    form that has only `client_id` shows no client. Raises InvalidRequestError for a malformed
    header and for two credentials, NoClientError for a header that is of no use here.
    """
    try:
        shown = parse_authorization(headers)
    except AuthorizationError as error:
        if error.is_bad_request:
            raise InvalidRequestError(
                "the Authorization header is malformed: send one, with one credential",
                reason=error.reason,
            ) from error
        raise NoClientError(error.reason) from error
    if shown is None:
        return _find_client_in_form(form)
    if "client_secret" in form:
        raise InvalidRequestError("two credentials: the Authorization header and client_secret")
    client_id = form.get("client_id")
    if client_id is None or client_id == shown.client_id:
        return shown
    if shown.client_id is not None:
        raise InvalidRequestError(
            "client_id in the body is not the user of the Authorization header"
        )
    return replace(shown, client_id=client_id)


def find_scheme(headers: Sequence[str]) -> Scheme:
    """Return the scheme to challenge with: the one that was tried (RFC 6749 section 5.2)."""
    is_basic = bool(headers) and headers[0].lstrip(_BLANKS)[:5].lower() == "basic"
    return "Basic" if is_basic else "Bearer"


def _find_client_in_form(form: Mapping[str, str]) -> Authorization | None:
    if "client_secret" not in form:
        return None
    # Without `client_id` it is empty, which is the id of no key: a secret alone is refused.
    return Authorization(
        scheme="Basic", secret=form["client_secret"], client_id=form.get("client_id", "")
    )


def _parse_basic(credential: str) -> Authorization:
    """Return the client of RFC 7617, whose id and secret are encoded as in a form (RFC 6749)."""
    try:
        text = base64.b64decode(credential, validate=True).decode("utf-8")
    except ValueError as error:  # not base64, not ASCII, not UTF-8
        raise AuthorizationError("malformed_basic", is_bad_request=False) from error
    user, colon, password = text.partition(":")
    # RFC 6749 section 2.3.1 encodes both parts, so they are decoded after the colon was found.
    user, password = unquote_plus(user), unquote_plus(password)
    if not colon or _CONTROL.search(user) or _CONTROL.search(password):
        raise AuthorizationError("malformed_basic", is_bad_request=False)
    return Authorization(scheme="Basic", secret=password, client_id=user)
