"""Looks at an issuer as those do who trust it, with the standard library alone.

The certificate is verified, and no redirect is followed: verifiers follow none either.
"""

from __future__ import annotations

import http.client
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tokensvc.core.doctor.facts import Answer, CertificateFacts, OutsideFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS: Final = 10.0
_MOST_BYTES: Final = 16 * 1024 * 1024
_JWKS: Final = "/.well-known/jwks.json"
_METADATA: Final = "/.well-known/oauth-authorization-server"
_FEED: Final = "/v1/denylist"


class _Place(NamedTuple):
    """Where the issuer is. `path`: what its addresses begin with."""

    is_secure: bool
    host: str
    port: int | None
    path: str


def look_from_outside(issuer: str, now: datetime, published: Sequence[str] | None) -> OutsideFacts:
    """Return what others see of an issuer. `now` and `published` are passed on."""
    parts = urlsplit(issuer)
    place = _Place(
        parts.scheme == "https", parts.hostname or "", parts.port, parts.path.rstrip("/")
    )
    return OutsideFacts(
        issuer=issuer,
        now=now,
        published=published,
        jwks=_ask(place, place.path + _JWKS),
        # RFC 8414 section 3.1: before the path of the issuer.
        metadata=_ask(place, _METADATA + place.path),
        feed=_ask(place, place.path + _FEED),
        certificate=_look_at_certificate(place)
        if place.is_secure
        else CertificateFacts(None, None),
    )


def _connect(place: _Place) -> http.client.HTTPConnection:
    if not place.is_secure:
        return http.client.HTTPConnection(place.host, place.port, timeout=_SECONDS)
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(place.host, place.port, timeout=_SECONDS, context=context)


def _ask(place: _Place, path: str) -> Answer | str:
    """Return what an address answers, or why it does not."""
    connection = _connect(place)
    try:
        connection.request("GET", path, headers={"User-Agent": "tokensvc"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{path} of {place.host} cannot be reached: {reason}"
    finally:
        connection.close()


def _look_at_certificate(place: _Place) -> CertificateFacts:
    """Return when the certificate ends, or why it is not trusted."""
    connection = _connect(place)
    try:
        connection.connect()
        held = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
        ends_at = ssl.cert_time_to_seconds(str((held or {})["notAfter"]))
        return CertificateFacts(datetime.fromtimestamp(ends_at, UTC), None)
    except ssl.SSLCertVerificationError as error:
        return CertificateFacts(None, error.verify_message)
    except ssl.SSLError as error:
        return CertificateFacts(None, error.reason or str(error))
    except OSError:  # the other checks say so
        return CertificateFacts(None, None)
    finally:
        connection.close()
