"""The verifier: judges tokens in memory, while its followers keep keys and denylist fresh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tokensvc.core.errors import BearerError, InvalidTokenError, VerifierUnavailableError
from tokensvc.verify._followers import FollowerTasks
from tokensvc.verify._hints import Hints
from tokensvc.verify._options import VerifierOptions, keywords_of
from tokensvc.verify._token_checker import TokenChecker
from tokensvc.verify._verified_tokens import VerifiedTokens

if TYPE_CHECKING:
    from types import TracebackType

    from tokensvc.core.audit_witness import AuditHeadStatus
    from tokensvc.core.claims import Claims
    from tokensvc.verify._fetch import JwksAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a verifier knows. Ages are in seconds, and infinite before the first answer.

    `audit_head`: what it has seen of the issuer's audit trail; None if it was told nothing of it.
    """

    ready: bool
    kids: tuple[str, ...]
    jwks_age: float
    jwks_error: str | None
    denylist_cursor: str | None
    denylist_entries: int
    denylist_age: float
    denylist_error: str | None
    denylist_resets: int
    snapshot_error: str | None
    audit_head: AuditHeadStatus | None


class Verifier:
    """Verifies the tokens of one issuer for one audience, or some.

    All durations are in seconds. Raises ValueError for options that contradict each other.

    - `issuer`: must be equal to the `iss` of a token.
    - `audience`: one name or a tuple of names; the `aud` of a token must be equal to one of them.
    - `algorithms`: the signature algorithms that are accepted.
    - `typ`: "JWT" if that is the type of the audience; then its older tokens pass as well.
    - `leeway`: the difference between two clocks that is tolerated.
    - `max_staleness`: how long the denylist counts as fresh after the issuer confirmed it.
    - `when_stale`: "reject" raises VerifierUnavailableError while the denylist is stale; "accept"
      goes on with the revocations that are known.
    - `jwks_cooldown`: the time between two fetches that unknown kids have caused.
    - `jwks_stale_if_error`: how long keys are used beyond their max-age while the issuer is away.
    - `http_timeout`: for one request. `feed_wait`: how long the issuer may wait for news.
    - `remember`: how many verified tokens are remembered.
    - `follower`: the name under which operators see what this verifier has applied. The default
      is made of audience, host and process; "" sends no name.
    - `snapshot_path`: a file that keeps keys and denylist for the next start.
    - `on_verify`: called with "ok" or the reason of the refusal, after each verification.
    - `on_audit_problem`: called once with a sentence, if the issuer's audit trail was changed.
    - `allow_http`: takes an issuer without TLS in a network of your own, for a trial.
    - `jwks_url`, `denylist_url`: where both are, if they are not at the usual place of the issuer.
    - `feed_token`: a function, async or not, that returns the token for a feed that asks for one:
      `get_token` of a TokenSource for audience `tokensvc` and scope `tokensvc:denylist`.
    - `fetcher`, `clock`: replace the network and the clock of the system.

    `verify` and `status` may be called from any thread. Everything else belongs to the event loop
    in which `start` was called.
    """

    @keywords_of(VerifierOptions)
    def __init__(self, options: VerifierOptions) -> None:
        self._followers = FollowerTasks(options)
        self._jwks = self._followers.jwks
        self._feed = self._followers.feed
        self._monotonic = options.clock.monotonic
        self._on_verify = options.on_verify
        self._freshness = self._followers.freshness
        self._hints = Hints(options.clock.monotonic)
        self._checker = TokenChecker(
            options,
            self._jwks,
            self._feed,
            self._freshness,
            VerifiedTokens(most=options.remember),
        )

    async def __aenter__(self) -> Self:
        """Start following; see `start`."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop following."""
        await self.close()

    async def start(self) -> None:
        """Start following, and wait at most `http_timeout` seconds for keys and denylist.

        Returns also if the issuer is away. Then `verify` raises VerifierUnavailableError until the
        issuer is back, unless a snapshot is fresh enough. Raises RuntimeError if it runs already.
        """
        await self._followers.start()

    async def close(self) -> None:
        """Stop following, close the connections, and write a snapshot if there is a path for it."""
        await self._followers.close()

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token.

        Raises InvalidTokenError, or VerifierUnavailableError while nothing can be verified, and
        RuntimeError if the verifier was never started, or was closed a while ago.
        """
        try:
            claims = self._checker.check(token)
        except BearerError as error:
            self._note(error)
            raise
        if self._on_verify is not None:
            self._on_verify("ok")
        return claims

    def _note(self, error: BearerError) -> None:
        """Tell who wants to know of a refusal. Raises RuntimeError for a wrong use of this."""
        if isinstance(error, VerifierUnavailableError) and self._followers.misuse is not None:
            raise RuntimeError(self._followers.misuse) from None
        if isinstance(error, InvalidTokenError):
            self._hints.note(error)
        if self._on_verify is not None:
            self._on_verify(error.reason)

    def status(self) -> Status:
        """Return what is known and how fresh it is, for readiness and metrics."""
        return Status(
            ready=self._freshness.find_fault() is None,
            kids=tuple(self._jwks.keys),
            jwks_age=self._jwks.age,
            jwks_error=self._jwks.last_error,
            denylist_cursor=self._feed.cursor,
            denylist_entries=len(self._feed.denylist),
            denylist_age=self._feed.age,
            denylist_error=self._feed.last_error,
            denylist_resets=self._feed.resets,
            snapshot_error=self._followers.snapshot_error,
            audit_head=self._feed.audit.status(),
        )

    def take(self, *, jwks: JwksAnswer | None = None, page: str | None = None) -> None:
        """Take in a JWKS, then a page, that somebody else has fetched; both are checked as always.

        Raises ValueError or FetchError for the JWKS, InvalidTokenError or InvalidPageError for the
        page, and then changes nothing by it, except that the revocations of a replayed page are
        taken in.
        """
        if jwks is not None:
            self._jwks.take(jwks, self._monotonic())
        if page is not None:
            self._feed.take(page)
