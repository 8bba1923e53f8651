"""Made-up values for tests. The clock stands still at NOW."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tokensvc.core.api_key import ApiKeyRecord, KeyTerms
from tokensvc.core.audience import Audience
from tokensvc.core.claims import Claims
from tokensvc.core.denylist.page import FeedPage, parse_feed_page
from tokensvc.core.denylist.record import Ending, RevocationRecord
from tokensvc.core.exchange import IssuingPolicy, Verdict
from tokensvc.core.identifier import AccountId, Jti, KeyId, Kid
from tokensvc.core.jwks import VerifyingKey, build_public_jwk, parse_public_jwk
from tokensvc.core.keyring import RotationPolicy, SigningKeyRecord
from tokensvc.core.limit import Quota
from tokensvc.core.private_key import new_private_key
from tokensvc.core.steps import run_steps
from tokensvc.core.token import SigningKey
from tokensvc.settings import Settings, load_settings
from tokensvc.settings.names import FOUND_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.revocation import Kind, Revocation

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
ISSUER = "http://127.0.0.1:8080"
ACCOUNT_ID = AccountId("acct_0123456789abcdef")
KEY_ID = KeyId("key_0123456789abcdef")


class Clock:
    """A monotonic clock that stands still until a test sets `now`."""

    def __init__(self, now: float = 120.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def make_settings(**values: Any) -> Settings:
    """Settings from nothing but `values` (names as in Settings), which may be those of others."""
    given = {name: values[name] for name in values if name not in FOUND_OUT}
    return load_settings({f"TOKENSVC_{name}".upper(): str(value) for name, value in given.items()})


def make_claims(**changes: Any) -> Claims:
    values: dict[str, Any] = {
        "iss": ISSUER,
        "sub": ACCOUNT_ID,
        "aud": "api",
        "iat": seconds(NOW),
        "exp": seconds(NOW) + 600,
        "jti": Jti("jti00000000000000001"),
        "client_id": KEY_ID,
        "scope": ("orders:read", "orders:write"),
    }
    return Claims(**values | changes)


def make_key_record(**changes: Any) -> ApiKeyRecord:
    values: dict[str, Any] = {
        "id": KEY_ID,
        "account_id": ACCOUNT_ID,
        "hint": "tsk-...abcd",
        "terms": KeyTerms(name="ci", capabilities=("orders:read",)),
        "created_at": NOW,
        "expires_at": None,
        "disabled_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "last_used_network": None,
        "last_used_audience": None,
        "minute_limit": 60,
        "day_limit": 5000,
        "predecessor_id": None,
        "successor_id": None,
    }
    return ApiKeyRecord(**values | changes)


def make_revocation_record(revocation: Revocation, position: Position) -> RevocationRecord:
    endings: dict[Kind, Ending] = {
        "jti": "token_revoked",
        "key": "key_tokens_revoked",
        "account": "account_tokens_revoked",
        "kid": "signing_key_revoked",
    }
    return RevocationRecord(
        position=position,
        revocation=revocation,
        ending=endings[revocation.kind],
        healed=False,
        watermark=None if revocation.upto is None else datetime.fromtimestamp(revocation.upto, UTC),
        created_at=NOW,
    )


def make_verdict(**changes: Any) -> Verdict:
    values: dict[str, Any] = {
        "key_id": KEY_ID,
        "account_id": ACCOUNT_ID,
        "capabilities": ("orders:read", "orders:write"),
        "refusal": None,
        "watermark": None,
        "at": NOW,
        "quota": Quota(60, 5000, 600, 50_000, 59, 4999, 599, 49_999),
    }
    return Verdict(**values | changes)


def parse_page(payload: Mapping[str, Any]) -> FeedPage:
    """The page that a payload holds, read without a pause."""
    return run_steps(parse_feed_page(payload))


def make_audience(**changes: Any) -> Audience:
    values: dict[str, Any] = {
        "name": "api",
        "description": "",
        "token_life": None,
        "alg": "ES256",
        "typ": "at+jwt",
        "created_at": NOW,
    }
    return Audience(**values | changes)


def make_issuing_policy(**changes: Any) -> IssuingPolicy:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "default_audience": "api",
        "token_life": timedelta(seconds=600),
        "max_token_life": timedelta(seconds=3600),
    }
    return IssuingPolicy(**values | changes)


def make_rotation_policy(**changes: Any) -> RotationPolicy:
    values: dict[str, Any] = {
        "jwks_max_age": timedelta(seconds=300),
        "verifier_cache": timedelta(seconds=330),
        "margin": timedelta(seconds=60),
        "token_life": timedelta(seconds=600),
        "period": timedelta(days=30),
    }
    return RotationPolicy(**values | changes)


def make_signing_key_record(kid: str = "kid-1", **changes: Any) -> SigningKeyRecord:
    values: dict[str, Any] = {
        "kid": Kid(kid),
        "alg": "ES256",
        "public_jwk": {"kid": kid, "kty": "EC"},
        "sealed_private_key": b"",
        "created_at": NOW,
        "active_at": None,
        "revoked_at": None,
    }
    return SigningKeyRecord(**values | changes)


def make_signing_key(alg: str = "ES256") -> tuple[SigningKey, VerifyingKey, dict[str, str]]:
    """A fresh key: private, public, and its public JWK."""
    private_key = new_private_key(alg)
    jwk = build_public_jwk(alg, private_key.public_key())
    return SigningKey(Kid(jwk["kid"]), alg, private_key), parse_public_jwk(jwk), jwk
