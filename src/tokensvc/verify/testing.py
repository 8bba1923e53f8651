"""An issuer for the tests of relying parties. It needs no database, no service and no network.

    issuer = FakeIssuer()
    verifier = issuer.verifier()           # ready, and in step with the issuer: give it to your app
    token = issuer.token(scope="orders:read")
    issuer.revoke(token=token)             # from now on verifier.verify(token) raises

`async with issuer.serve() as url` answers over HTTP on loopback, for programs that need an address.

Not here: the exchange of API keys. Nothing that is made here is worth anything outside of tests.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.audience import DEFAULT_TYP, TokenType
from tokensvc.core.base64url import encode_base64url
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import AccountId, KeyId, new_jti
from tokensvc.core.token import read_unverified
from tokensvc.verify._clock import SYSTEM_CLOCK, Clock
from tokensvc.verify._fake_publisher import FakePublisher
from tokensvc.verify._fake_transport import InMemoryFetcher, serve
from tokensvc.verify._verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from tokensvc.core.denylist.revocation import Kind

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "api"
SCOPE: Final = "orders:read orders:write"
ACCOUNT: Final = AccountId("acct_0123456789abcdef")
KEY: Final = KeyId("key_0123456789abcdef")

_TOKEN_LIFE: Final = 600
_HOUR: Final = 3600
_REVOCATION_LIFE: Final = 86_400  # no test waits until a revocation is over
# The clock of the verifiers jumps so far, and with it beyond every `max_staleness`.
_SILENCE: Final = 86_400.0


class FakeIssuer(FakePublisher):
    """Signs, rotates, revokes and publishes. Every verifier that it has made knows at once.

    `issuer`: an invented name by default, or the address while it is served. `now`: the clock of
    the issuer and its verifiers in seconds since 1970, by default the clock of the system.
    `max_age`: seconds for which the JWKS may be kept.
    """

    def __init__(
        self,
        *,
        issuer: str | None = None,
        now: Callable[[], float] = SYSTEM_CLOCK.wall,
        audience: str = AUDIENCE,
        alg: str = "ES256",
        typ: TokenType = DEFAULT_TYP,
        max_age: float = 300.0,
    ) -> None:
        super().__init__(issuer=issuer or ISSUER, now=now, alg=alg, max_age=max_age)
        self._is_named = issuer is not None
        self._silence = 0.0
        self.audience = audience
        self.typ = typ

    def token(
        self,
        *,
        scope: str | Iterable[str] = SCOPE,
        audience: str | None = None,
        expires_in: float = _TOKEN_LIFE,
        **claims: Any,  # noqa: ANN401 - any JSON
    ) -> str:
        """Return a token. `claims` add to its claims or replace them; None leaves one out."""
        now = int(self.now())
        payload = {
            "iss": self.issuer,
            "sub": ACCOUNT,
            "aud": self.audience if audience is None else audience,
            "iat": now,
            "exp": int(now + expires_in),
            "jti": new_jti(),
            "client_id": KEY,
            "scope": scope if isinstance(scope, str) else " ".join(scope),
        }
        payload |= claims
        said = {name: value for name, value in payload.items() if value is not None}
        return self.sign(said, typ=self.typ)

    def expired_token(self, **claims: Any) -> str:  # noqa: ANN401 - any JSON
        """Return a token that expired an hour ago."""
        expired_at = int(self.now()) - _HOUR
        return self.token(**{"iat": expired_at - _TOKEN_LIFE, "exp": expired_at} | claims)

    def wrong_audience(self, **claims: Any) -> str:  # noqa: ANN401 - any JSON
        """Return a token for another audience."""
        return self.token(audience=f"not-{self.audience}", **claims)

    def tampered(self, **claims: Any) -> str:  # noqa: ANN401 - any JSON
        """Return a token whose scope was widened after it had been signed."""
        token = self.token(**claims)
        header, _, signature = token.split(".")
        payload = read_unverified(token)[1] | {"scope": f"{SCOPE} tokensvc:admin"}
        text = json.dumps(payload, separators=(",", ":")).encode("ascii")
        widened = encode_base64url(text).decode("ascii")
        return f"{header}.{widened}.{signature}"

    def revoke(
        self,
        *,
        token: str | None = None,
        jti: str | None = None,
        key: str | None = None,
        account: str | None = None,
        kid: str | None = None,
    ) -> None:
        """Revoke a token, all tokens so far of an API key or account, or all of a signing key."""
        now = int(self.now())
        if kid == self.signer.kid:
            # As in the service: a revoked key signs nothing, not even the page that revokes it.
            self.rotate()
        revoked: list[tuple[Kind, str | None]] = [
            ("jti", jti),
            ("key", key),
            ("account", account),
            ("kid", kid),
        ]
        if token is not None:
            revoked.append(("jti", read_unverified(token)[1]["jti"]))
        for kind, value in revoked:
            if value is not None:
                upto = now if kind in {"key", "account"} else None
                self.append(
                    Revocation(kind=kind, value=value, exp=now + _REVOCATION_LIFE, upto=upto)
                )

    def go_stale(self) -> None:
        """Stop answering the feed; the verifiers' denylist is stale at once. Keys stay fresh."""
        self.is_stale = True
        self._silence += _SILENCE
        self.tell()

    def recover(self) -> None:
        """Answer again."""
        self.is_stale = False
        self.tell()

    def verifier(self, **options: Any) -> Verifier:  # noqa: ANN401 - Verifier says what each is
        """Return a verifier that is ready without a start, and has no network.

        `options` are those of `Verifier`.
        """
        defaults: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": self.audience,
            "algorithms": (self.alg,),
            "typ": self.typ,
            "fetcher": InMemoryFetcher(self),
            # Time of its own: however long a test takes, nothing becomes stale by itself.
            "clock": Clock(wall=self.now, monotonic=lambda: self._ahead + self._silence),
        }
        made = Verifier(**defaults | options)
        self._publish_to(made)
        self.listeners.append(lambda: self._inform(made))
        if self.is_stale:
            # It was made ready just now, so time must jump once more for it.
            self.go_stale()
        return made

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Answer on a free port of loopback, and yield the address.

        It serves the JWKS, the metadata and the feed, the latter by long poll.
        """
        async with serve(self) as url:
            if not self._is_named:
                self.issuer = url
            yield url

    def _inform(self, verifier: Verifier) -> None:
        if self.is_stale:
            verifier.take(jwks=self.answer_jwks())
        else:
            self._publish_to(verifier)

    def _publish_to(self, verifier: Verifier) -> None:
        """Have a verifier read keys and denylist, from the first page to the last."""
        verifier.take(jwks=self.answer_jwks(), page=self.page())
        while (cursor := verifier.status().denylist_cursor) != str(self.log.head):
            verifier.take(page=self.page(cursor))
