"""The public face of a `FakeIssuer`: its time, its keys, its JWKS and its denylist."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.audit_claim import build_claim
from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.denylist.page import PAGE_AUDIENCE, FeedPage, build_page_payload
from tokensvc.core.denylist.position import Position, parse_cursor
from tokensvc.core.denylist.record import RevocationRecord
from tokensvc.core.identifier import Kid, new_base62
from tokensvc.core.jwks import build_jwks, build_public_jwk
from tokensvc.core.private_key import new_private_key
from tokensvc.core.token import AUDIT_HEAD, SigningKey, sign_jws
from tokensvc.verify._fake_trail import FakeTrail
from tokensvc.verify._fetch import JwksAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.denylist.record import Ending
    from tokensvc.core.denylist.revocation import Kind, Revocation

_PAGE_LIFE: Final = 60
_ENDINGS: Final[dict[Kind, Ending]] = {
    "jti": "token_revoked",
    "key": "key_tokens_revoked",
    "account": "account_tokens_revoked",
    "kid": "signing_key_revoked",
}


class FakePublisher:
    """Signs with its keys, and publishes them and a denylist.

    `now`: returns seconds since 1970. `listeners` are called after each change.
    """

    def __init__(self, *, issuer: str, now: Callable[[], float], alg: str, max_age: float) -> None:
        self._now = now
        self._ahead = 0.0
        self.issuer = issuer
        self.alg = alg
        self.max_age = max_age
        self.is_stale = False
        self.listeners: list[Callable[[], None]] = []
        self.keys: list[SigningKey] = []
        self.published: list[dict[str, str]] = []
        self.audit_trail = FakeTrail()
        self.log = DenylistLog()
        self.log.reset((), Position(0, new_base62(16)))
        self.rotate()

    def now(self) -> float:
        """Return the issuer's time in seconds since 1970."""
        return self._now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass, here and for the verifiers made here."""
        self._ahead += seconds
        self.tell()

    def tell(self) -> None:
        """Call the listeners."""
        for listener in self.listeners:
            listener()

    @property
    def signer(self) -> SigningKey:
        """The key that signs now."""
        return self.keys[-1]

    def sign(
        self, payload: dict[str, Any], *, typ: str = "at+jwt", key: SigningKey | None = None
    ) -> str:
        """Return any payload as a JWS, signed by the present key if no other one is given."""
        return sign_jws(payload, typ=typ, key=key or self.signer)

    def rotate(self, alg: str | None = None) -> SigningKey:
        """Sign with a new key from now on. The old keys stay published."""
        alg = self.alg if alg is None else alg
        private_key = new_private_key(alg)
        jwk = build_public_jwk(alg, private_key.public_key())
        self.keys.append(SigningKey(Kid(jwk["kid"]), alg, private_key))
        self.published.append(jwk)
        self.tell()
        return self.signer

    def withdraw(self, kid: str) -> None:
        """Remove a key from the JWKS."""
        self.published = [jwk for jwk in self.published if jwk["kid"] != kid]
        self.tell()

    @property
    def jwks(self) -> bytes:
        """The JWKS document."""
        return build_jwks(self.published)

    def answer_jwks(self) -> JwksAnswer:
        """Return the JWKS as if it had been fetched."""
        return JwksAnswer(document=self.jwks, etag=None, max_age=self.max_age)

    def append(self, revocation: Revocation) -> None:
        """Append a revocation to the denylist."""
        seq = 1 if self.log.head is None else self.log.head.seq + 1
        record = RevocationRecord(
            position=Position(seq, new_base62(16)),
            revocation=revocation,
            ending=_ENDINGS[revocation.kind],
            healed=False,
            watermark=None if revocation.upto is None else _moment(revocation.upto),
            created_at=_moment(self.now()),
        )
        self.log.append([record], record.position)
        self.audit_trail.append()
        self.tell()

    def page(self, after: str | None = None) -> str:
        """Return the signed page of the feed after a cursor; without one, the first full page."""
        page = self.build_page(None if after is None else parse_cursor(after))
        return self.sign(build_page_payload(page), typ="denylist+jwt")

    def build_page(self, after: Position | None) -> FeedPage:
        """Return the page after a position, not signed."""
        cut, head = self.log.cut(after), self.log.head or Position(0, "none")
        now = int(self.now())
        return FeedPage(
            issuer=self.issuer,
            issued_at=now,
            expires_at=now + _PAGE_LIFE,
            cursor=cut.cursor or head,
            head=head,
            after=None if cut.full else after,
            full=cut.full,
            revocations=tuple(cut.records.revocations()),
            # As in the service, a page in the middle of a row says nothing of the trail.
            audit=self.audit_trail.claim if cut.cursor in {None, head} else None,
        )

    def audit_head(self) -> str:
        """Return the signed answer about the audit trail."""
        now = int(self.now())
        payload = {"iss": self.issuer, "aud": PAGE_AUDIENCE, "iat": now, "exp": now + _PAGE_LIFE}
        return self.sign(
            payload | {"audit": build_claim(self.audit_trail.claim)}, typ=AUDIT_HEAD[0]
        )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
