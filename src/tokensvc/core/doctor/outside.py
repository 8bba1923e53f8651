"""Judgements about what others see of the issuer: keys, metadata, feed, certificate."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tokensvc.core.base64url import decode_base64url
from tokensvc.core.doctor.finding import Judgement
from tokensvc.core.url import is_loopback

if TYPE_CHECKING:
    from tokensvc.core.doctor.facts import Answer, OutsideFacts

_OK: Final = 200
_UNAUTHORISED: Final = 401
# certbot renews 30 days before the end, so with less than this left a renewal has failed.
_LEAST_LEFT: Final = timedelta(days=14)
_OLDEST_SECONDS: Final = 30  # of a page, by which a follower sees that nothing is missing
_PROXY: Final = "let the proxy lead {path} to the service, unchanged: docs/deployment.md"
_UNREACHED: Final = "see that the service runs, and that TOKENSVC_ISSUER leads to it: curl -i URL"
_NO_KEYS: Final = "relying parties cannot fetch the keys, and refuse every token in the end"
_NO_CACHE: Final = "let no cache keep /v1/denylist: its answers say no-store"


def judge_jwks(facts: OutsideFacts) -> Judgement:
    """Judge whether the JWKS that others get is the one that the service publishes."""
    document = _read(facts.jwks, _NO_KEYS, "/.well-known/jwks.json")
    if isinstance(document, Judgement):
        return document
    keys = document.get("keys")
    listed = keys if isinstance(keys, list) else []
    # Anybody may answer there, so a `kid` may be anything.
    kids = [key["kid"] for key in listed if isinstance(key, dict) and _is_text(key.get("kid"))]
    missing = sorted(set(facts.published or ()) - set(kids))
    if missing or not kids:
        return Judgement(
            "fault",
            f"the JWKS lacks the key {missing[0]}" if missing else "the JWKS holds no key",
            "tokens that it signs are refused by all who fetch the JWKS there",
            "a cache keeps it for too long, or TOKENSVC_ISSUER leads to another service",
        )
    return Judgement("ok", f"{len(kids)} key(s) at {facts.issuer}/.well-known/jwks.json")


def judge_metadata(facts: OutsideFacts) -> Judgement:
    """Judge whether the metadata names the issuer that the tokens name."""
    document = _read(
        facts.metadata,
        "libraries that find the keys by the metadata refuse every token",
        "/.well-known/oauth-authorization-server",
    )
    if isinstance(document, Judgement):
        return document
    if document.get("issuer") != facts.issuer:
        return Judgement(
            "fault",
            f"the metadata at {facts.issuer} names the issuer {document.get('issuer')!r}",
            "libraries compare both as texts, and refuse tokens if they differ",
            f"set TOKENSVC_ISSUER={facts.issuer}, or lead that address to the right service",
        )
    return Judgement("ok", f"they name {facts.issuer}")


def judge_feed(facts: OutsideFacts) -> Judgement:
    """Judge whether followers get fresh pages of this issuer."""
    why = "followers refuse every token once their copy is older than max_staleness"
    answer = facts.feed
    if isinstance(answer, str) or answer.status not in {_OK, _UNAUTHORISED}:
        return _judge_silence(answer, why, "/v1/denylist")
    if answer.status == _UNAUTHORISED:
        return Judgement("ok", "it asks followers for a token, so its pages were not looked at")
    claims = _read_claims(answer.body)
    if claims is None:
        return Judgement(
            "fault", "what is answered is no page", why, _PROXY.format(path="/v1/denylist")
        )
    if claims.get("iss") != facts.issuer:
        return Judgement(
            "fault",
            f"its pages name the issuer {claims.get('iss')!r}",
            why,
            f"set TOKENSVC_ISSUER={facts.issuer}, or lead that address to the right service",
        )
    age = int(facts.now.timestamp()) - int(claims["iat"])
    # Only a cache adds the header Age, and even a young copy hides the latest revocations.
    if age > _OLDEST_SECONDS or "age" in answer.headers:
        return Judgement("fault", f"the page that is answered is {age} s old", why, _NO_CACHE)
    return Judgement("ok", f"its newest page ends at {claims.get('cursor')}")


def judge_certificate(facts: OutsideFacts) -> Judgement:
    """Judge whether the certificate is trusted, and for how long."""
    certificate = facts.certificate
    if certificate.refusal is not None:
        return Judgement(
            "fault",
            f"the certificate is not trusted: {certificate.refusal}",
            "nobody sends a key or fetches one over a connection that is not trusted",
            "renew it, with the name of the issuer in it and its whole chain: certbot renew",
        )
    if certificate.ends_at is None:
        return _judge_plain(facts.issuer)
    left = certificate.ends_at - facts.now
    what = f"it ends on {certificate.ends_at:%Y-%m-%d}, in {max(0, left.days)} days"
    if left < _LEAST_LEFT:
        return Judgement(
            "fault",
            what,
            "from then on nobody sends a key or fetches one",
            "renew it and reload the proxy: certbot renew",
        )
    return Judgement("ok", what)


def _judge_plain(issuer: str) -> Judgement:
    parts = urlsplit(issuer)
    if parts.scheme == "https":
        return Judgement("unknown", "there was no connection")
    if is_loopback(parts.hostname or ""):
        return Judgement("ok", "on loopback there is no TLS, and none is needed")
    return Judgement(
        "fault",
        f"{issuer} is no https",
        "API keys and tokens can be read on the way",
        "let a proxy end TLS in front of the service: docs/deployment.md",
    )


def _read(answer: Answer | str, why: str, path: str) -> dict[str, Any] | Judgement:
    """Return the document that was answered, or what is wrong with the answer."""
    if isinstance(answer, str) or answer.status != _OK:
        return _judge_silence(answer, why, path)
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        what = f"{path} answers something that is no JSON object"
        return Judgement("fault", what, why, _PROXY.format(path=path))
    return document


def _judge_silence(answer: Answer | str, why: str, path: str) -> Judgement:
    if isinstance(answer, str):
        return Judgement("fault", answer, why, _UNREACHED)
    return Judgement("fault", f"{path} answers {answer.status}", why, _PROXY.format(path=path))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _read_claims(body: bytes) -> dict[str, Any] | None:
    """Return what a page says, None if it is none. Its signature is for followers to check."""
    try:
        claims = json.loads(decode_base64url(body.decode("ascii").split(".")[1]))
    except (IndexError, ValueError, RecursionError):
        return None
    is_page = isinstance(claims, dict) and isinstance(claims.get("iat"), int)
    return claims if is_page else None
