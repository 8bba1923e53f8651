"""The published documents: JWKS (RFC 7517) and metadata (RFC 8414), with ETag and 304.

They are answered from memory.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.issuer.postgres_clock import FRESH_SECONDS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.cors import ANY_ORIGIN
from tokensvc.web.token_request import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

if TYPE_CHECKING:
    from tokensvc.issuer.service import Service
    from tokensvc.settings import Settings

_CLIENT_SECRET: Final = ("client_secret_basic", "client_secret_post")


async def get_jwks(request: web.Request) -> web.Response:
    """Answer the public keys."""
    service = request.app[SERVICE]
    if _has(request, service.mirror.signers.jwks_etag):
        return _dress(web.Response(status=304), service, service.mirror.signers.jwks_etag)
    return build_jwks_answer(service)


async def get_metadata(request: web.Request) -> web.Response:
    """Answer the metadata, which is the same document at both addresses.

    The second address is OpenID's, but we are no OpenID Provider.
    """
    document = json.dumps(build_metadata(request.app[SERVICE].settings)).encode("utf-8")
    etag = hashlib.sha256(document).hexdigest()[:32]
    if _has(request, etag):
        response = web.Response(status=304)
    else:
        response = web.Response(body=document, content_type="application/json")
    return _dress(response, request.app[SERVICE], etag)


def build_jwks_answer(service: Service) -> web.Response:
    """Return the answer with the public keys for a client that has no copy of them."""
    signers = service.mirror.signers
    response = web.Response(body=signers.jwks, content_type="application/json")
    return _dress(response, service, signers.jwks_etag)


def build_metadata(settings: Settings) -> dict[str, object]:
    """Return the metadata document (RFC 8414 section 2)."""
    issuer = settings.issuer_url
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/v1/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "revocation_endpoint": f"{issuer}/v1/revoke",
        "introspection_endpoint": f"{issuer}/v1/introspect",
        "grant_types_supported": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
        # A token exchange may show no client, but only its subject token: "none".
        "token_endpoint_auth_methods_supported": [*_CLIENT_SECRET, "none"],
        "revocation_endpoint_auth_methods_supported": [*_CLIENT_SECRET, "none"],
        # "Bearer" is the type of an access token (RFC 8414 section 2).
        "introspection_endpoint_auth_methods_supported": [*_CLIENT_SECRET, "Bearer"],
        # The member is REQUIRED, and an empty array must be left out. A server without an
        # authorization endpoint cannot obey both. Some clients insist on the member, so it names
        # this type, which no grant above uses.
        "response_types_supported": ["token"],
        # OpenID libraries that only want our keys read these two.
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "tokensvc_denylist_endpoint": f"{issuer}/v1/denylist",
    }


def _has(request: web.Request, etag: str) -> bool:
    """Tell whether the caller has a document already."""
    return any(tag.value in {etag, "*"} for tag in request.if_none_match or ())


def _dress(response: web.Response, service: Service, etag: str) -> web.Response:
    """Add what each of these documents says of itself."""
    # A copy that Postgres has not confirmed may lack the next key, so it must not be kept.
    is_fresh = service.mirror.postgres_clock.age_seconds < FRESH_SECONDS
    max_age = service.settings.jwks_max_age if is_fresh else 0
    response.etag = etag
    response.headers["Cache-Control"] = f"public, max-age={max_age}"
    response.headers.update(ANY_ORIGIN)
    return response
