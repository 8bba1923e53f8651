"""An issuer for the tests of relying parties: good tokens and bad ones, rotation, revocation, silence. No database, no service, no network.

    issuer = FakeIssuer()
    verifier = issuer.verifier()                    # ready, and in step with the issuer; give it to your application
    token = issuer.token(scope="orders:read")
    issuer.revoke(token=token)                      # verifier.verify(token) raises from now on

`async with issuer.serve() as url` answers over real HTTP on loopback, for whoever follows by an address. Not here: the exchange of API
keys. Nothing that is made here is worth anything outside of tests.
"""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.denylist.page import Page, build_page_payload
from tokensvc.core.denylist.position import Position, parse_cursor
from tokensvc.core.denylist.record import RevocationRecord
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import AccountId, KeyId, Kid, new_base62, new_jti
from tokensvc.core.jwks import build_jwks, build_public_jwk
from tokensvc.core.private_key import new_private_key
from tokensvc.core.token import SigningKey, read_unverified, sign_jws
from tokensvc.verify.fetch import JwksAnswer
from tokensvc.verify.refresh import Clock
from tokensvc.verify.testing_transport import InMemory, serve
from tokensvc.verify.verifier import SYSTEM_CLOCK, Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from tokensvc.core.denylist.record import Ending
    from tokensvc.core.denylist.revocation import Kind

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "api"
SCOPE: Final = "orders:read orders:write"
ACCOUNT: Final = AccountId("acct_0123456789abcdef")
KEY: Final = KeyId("key_0123456789abcdef")

_TOKEN_LIFE: Final = 600
_ENTRY_LIFE: Final = 86_400  # no test waits for the end of a revocation
_PAGE_LIFE: Final = 60
_SILENCE: Final = 86_400.0
_ENDINGS: Final[dict[Kind, Ending]] = {
    "jti": "token_revoked",
    "key": "key_tokens_revoked",
    "account": "account_tokens_revoked",
    "kid": "signing_key_revoked",
}


class FakeIssuer:
    """Signs, rotates, revokes, publishes; every verifier that it has made learns of it at once.

    `now` is the clock (seconds since 1970) of the issuer and its verifiers, the system's if absent. `issuer` defaults to an invented
    name, or to the address while it is served.
    """

    def __init__(
        self,
        *,
        issuer: str | None = None,
        now: Callable[[], float] = SYSTEM_CLOCK.wall,
        audience: str = AUDIENCE,
        alg: str = "ES256",
        max_age: float = 300.0,
    ) -> None:
        self._is_named = issuer is not None
        self._clock = now
        self._ahead = 0.0
        self._silence = 0.0
        self._listeners: list[Callable[[], None]] = []
        self.issuer = issuer or ISSUER
        self.audience = audience
        self.alg = alg
        self.max_age = max_age
        self.is_stale = False
        self.keys: list[SigningKey] = []
        self.published: list[dict[str, str]] = []
        self.log = DenylistLog()
        self.log.reset((), Position(0, new_base62(16)))
        self.rotate()

    # --- tokens --------------------------------------------------------------------------------------------------------------

    def token(
        self,
        *,
        scope: str | Iterable[str] = SCOPE,
        audience: str | None = None,
        expires_in: float = _TOKEN_LIFE,
        **claims: Any,  # noqa: ANN401 - whatever JSON holds
    ) -> str:
        """Return a token. `claims` stand beside or instead of what it would say; None leaves a claim out."""
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
        return self.sign(
            {name: value for name, value in (payload | claims).items() if value is not None}
        )

    def expired_token(self, **claims: Any) -> str:  # noqa: ANN401 - whatever JSON holds
        """Return a token that was good an hour ago."""
        now = int(self.now())
        return self.token(**{"iat": now - 3600 - _TOKEN_LIFE, "exp": now - 3600} | claims)

    def wrong_audience(self, **claims: Any) -> str:  # noqa: ANN401 - whatever JSON holds
        """Return a token for somebody else."""
        return self.token(audience=f"not-{self.audience}", **claims)

    def tampered(self, **claims: Any) -> str:  # noqa: ANN401 - whatever JSON holds
        """Return a token whose scope was widened after it had been signed."""
        token = self.token(**claims)
        header, _, signature = token.split(".")
        payload = read_unverified(token)[1] | {"scope": f"{SCOPE} tokensvc:admin"}
        widened = base64.urlsafe_b64encode(
            json.dumps(payload, separators=(",", ":")).encode("ascii")
        ).rstrip(b"=")
        return f"{header}.{widened.decode('ascii')}.{signature}"

    def sign(
        self, payload: dict[str, Any], *, typ: str = "at+jwt", key: SigningKey | None = None
    ) -> str:
        """Return whatever payload, signed by the present key or another one."""
        return sign_jws(payload, typ=typ, key=key or self.signer)

    # --- what an issuer does -------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the issuer's time."""
        return self._clock() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass, here and for the verifiers made here."""
        self._ahead += seconds
        self._tell()

    @property
    def signer(self) -> SigningKey:
        """The key that signs at present."""
        return self.keys[-1]

    def rotate(self, alg: str | None = None) -> SigningKey:
        """Sign with a new key from now on; those before stay published."""
        alg = self.alg if alg is None else alg
        private_key = new_private_key(alg)
        jwk = build_public_jwk(alg, private_key.public_key())
        self.keys.append(SigningKey(Kid(jwk["kid"]), alg, private_key))
        self.published.append(jwk)
        self._tell()
        return self.signer

    def withdraw(self, kid: str) -> None:
        """Take a key out of the JWKS."""
        self.published = [jwk for jwk in self.published if jwk["kid"] != kid]
        self._tell()

    def revoke(
        self,
        *,
        token: str | None = None,
        jti: str | None = None,
        key: str | None = None,
        account: str | None = None,
        kid: str | None = None,
    ) -> None:
        """Revoke one token, all tokens so far of an API key or an account, or all that a signing key has signed."""
        now = int(self.now())
        if kid == self.signer.kid:
            self.rotate()  # as the service does: a denied key signs nothing, not even the page that denies it
        named: list[tuple[Kind, str | None]] = [
            ("jti", jti),
            ("key", key),
            ("account", account),
            ("kid", kid),
        ]
        if token is not None:
            named.append(("jti", read_unverified(token)[1]["jti"]))
        for kind, value in named:
            if value is not None:
                upto = now if kind in {"key", "account"} else None
                self.append(Revocation(kind=kind, value=value, exp=now + _ENTRY_LIFE, upto=upto))

    def append(self, revocation: Revocation) -> None:
        """Append a revocation to the denylist."""
        seq = 1 if self.log.head is None else self.log.head.seq + 1
        record = RevocationRecord(
            position=Position(seq, new_base62(16)),
            revocation=revocation,
            ending=_ENDINGS[revocation.kind],
            healed=False,
            watermark=None,
            created_at=datetime.fromtimestamp(self.now(), UTC),
        )
        self.log.append([record], record.position)
        self._tell()

    def go_stale(self) -> None:
        """Fall silent: from now on the feed answers nothing, and verifiers know for long that it does not. Keys stay fresh."""
        self.is_stale = True
        self._silence += _SILENCE
        self._tell()

    def recover(self) -> None:
        """Answer again."""
        self.is_stale = False
        self._tell()

    # --- what an issuer publishes --------------------------------------------------------------------------------------------

    @property
    def jwks(self) -> bytes:
        """The JWKS document."""
        return build_jwks(self.published)

    def page(self, after: str | None = None) -> str:
        """Return the signed page of the feed after a cursor, or of everything."""
        return self.sign(
            build_page_payload(self.build_page(None if after is None else parse_cursor(after))),
            typ="denylist+jwt",
        )

    def build_page(self, after: Position | None) -> Page:
        """Return the page after a position, not signed."""
        full, revocations = self.log.cut(after)
        now = int(self.now())
        return Page(
            issuer=self.issuer,
            issued_at=now,
            expires_at=now + _PAGE_LIFE,
            cursor=self.log.head or Position(0, "none"),
            after=None if full else after,
            full=full,
            revocations=revocations,
        )

    def verifier(self, **options: Any) -> Verifier:  # noqa: ANN401 - Verifier says what each is
        """Return a verifier that is ready without being started, and has no network. Options as for `Verifier`."""
        defaults: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": self.audience,
            "algorithms": (self.alg,),
            "fetcher": InMemory(self),
            "clock": Clock(
                self.now, lambda: self._ahead + self._silence
            ),  # however long a test takes, nothing gets stale by itself
        }
        made = Verifier(**defaults | options)
        made.take(jwks=self.answer_jwks(), page=self.page())
        self._listeners.append(lambda: self._inform(made))
        if self.is_stale:
            self.go_stale()
        return made

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Answer on a free port of loopback: the JWKS, the metadata, and the feed by long poll. Yields the address."""
        async with serve(self, self._listeners) as url:
            if not self._is_named:
                self.issuer = url
            yield url

    def answer_jwks(self) -> JwksAnswer:
        """Return the JWKS as if it had been fetched."""
        return JwksAnswer(self.jwks, None, self.max_age)

    def _inform(self, verifier: Verifier) -> None:
        verifier.take(jwks=self.answer_jwks(), page=None if self.is_stale else self.page())

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
