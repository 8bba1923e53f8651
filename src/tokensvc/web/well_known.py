"""The published face: JWKS (RFC 7517) and metadata (RFC 8414), from memory, with ETag and 304."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from aiohttp import web

from tokensvc.core.jwks import ALGORITHMS
from tokensvc.issuer.confirmation import FRESH_SECONDS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.cors import ANY_ORIGIN
from tokensvc.web.token_request import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

if TYPE_CHECKING:
    from tokensvc.settings import Settings


async def get_jwks(request: web.Request) -> web.Response:
    """Answer the public keys."""
    signers = request.app[SERVICE].mirror.signers
    return _answer(request, signers.jwks, signers.jwks_etag)


async def get_metadata(request: web.Request) -> web.Response:
    """Answer the metadata: the same document at both addresses. No OpenID Provider is claimed by the second one."""
    document = json.dumps(build_metadata(request.app[SERVICE].settings)).encode("utf-8")
    return _answer(request, document, hashlib.sha256(document).hexdigest()[:32])


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
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "Bearer",
        ],  # the latter: RFC 8414 section 2
        # REQUIRED, and an empty array must be left out: a contradiction for a server without authorization endpoint. Clients that
        # insist on the member take this one; no grant above uses it.
        "response_types_supported": ["token"],
        # read by OpenID-minded libraries that only want our keys
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "tokensvc_denylist_endpoint": f"{issuer}/v1/denylist",
    }


def _answer(request: web.Request, document: bytes, etag: str) -> web.Response:
    service = request.app[SERVICE]
    # a copy that Postgres has not confirmed may lack the next key: nobody shall keep it
    max_age = (
        service.settings.jwks_max_age
        if service.mirror.confirmation.age_seconds < FRESH_SECONDS
        else 0
    )
    tags = request.if_none_match or ()
    known = any(tag.value in {etag, "*"} for tag in tags)
    response = (
        web.Response(status=304)
        if known
        else web.Response(body=document, content_type="application/json")
    )
    response.etag = etag
    response.headers["Cache-Control"] = f"public, max-age={max_age}"
    response.headers.update(ANY_ORIGIN)
    return response
