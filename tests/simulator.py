"""Verifiers live through hours in milliseconds: an event loop whose clock jumps, and no sockets.

`SimulatedIssuer` replaces the network. It is the issuer of the testing kit, and in addition it goes
down, fails over and lies. `simulated` runs a test in a loop that never waits: when nothing is
ready, its clock moves on to the next timer. So every duration in a test is exact.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import selectors
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tests.factories import ISSUER, NOW, make_claims, seconds
from tokensvc.core.claims import build_payload
from tokensvc.core.denylist.page import FeedPage, build_page_payload
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import new_jti
from tokensvc.verify import BearerError, Clock, FetchError, JwksAnswer, Verifier
from tokensvc.verify.testing import FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.revocation import Kind
    from tokensvc.core.token import SigningKey
    from tokensvc.verify import VerifiesTokens

_T = TypeVar("_T")

START = seconds(NOW)


class _JumpingSelector(selectors.SelectSelector):
    """Never blocks. Adds up the time that it would have blocked."""

    moment = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the test waits for something that can never happen")
        ready = super().select(0)
        if not ready:
            self.moment += max(0.0, timeout)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of its timers."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.moment

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Do the work of a thread at once. It takes no time."""
        del executor
        done: asyncio.Future[_T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - all that a thread would have passed on
            done.set_exception(error)
        return done


def simulated(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test in a `SimulatedLoop` of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def scenario() -> None:
            await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            runner.run(scenario())

    return run


def simulated_clock(*, skew: float = 0.0) -> Clock:
    """Return the clock of the running loop.

    `skew`: seconds by which the wall clock is ahead of the issuer's.
    """
    loop = asyncio.get_running_loop()
    return Clock(wall=lambda: START + loop.time() + skew, monotonic=loop.time)


class SimulatedIssuer(FakeIssuer):
    """A `FakeIssuer` that replaces `Fetcher`, goes down, fails over and lies.

    `waits`: whether it holds a poll back until there is news. `page_lie` and `jwks_lie` replace an
    answer. `latency` and `cached_for` are seconds.
    """

    def __init__(self, *, max_age: float = 300.0, waits: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(issuer=ISSUER, now=lambda: START + self._loop.time(), max_age=max_age)
        self._changed = asyncio.Event()
        self._is_answering = False
        self.listeners.append(self.wake)
        self.waits = waits
        self.down = False
        self.latency = 0.0
        self.cached_for = 0.0
        self.jwks_lie: bytes | None = None
        self.page_lie: Callable[[str | None], str] | None = None
        self.jwks_asked_on: list[float] = []
        self.etags_asked: list[str | None] = []
        self.pages_asked: list[str | None] = []
        self.numbers_asked: list[int] = []
        self.is_open = False

    # --- what Fetcher offers ---------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        assert url == f"{ISSUER}/.well-known/jwks.json"
        assert not self._is_answering, "two fetches at once"
        self._is_answering = True
        self.jwks_asked_on.append(self._loop.time())
        self.etags_asked.append(etag)
        await asyncio.sleep(self.latency)
        self._is_answering = False
        self._check_up()
        document = self.jwks_lie if self.jwks_lie is not None else self.jwks
        current = f'"{hash(document)}"'
        return JwksAnswer(
            document=None if etag == current else document,
            etag=current,
            max_age=self.max_age,
            age=self.cached_for,
        )

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        assert url == f"{ISSUER}/v1/denylist"
        self.pages_asked.append(after)
        await asyncio.sleep(0)  # as in every network
        self._check_up()
        if self.page_lie is not None:
            return self.page_lie(after)
        if after is not None and after == str(self.log.head) and self.waits:
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._check_up()
        return self.page(after)

    async def fetch_audit_head(self, url: str, number: int) -> str:
        assert url == f"{ISSUER}/v1/audit-heads"
        self.numbers_asked.append(number)
        self._check_up()
        return self.audit_head()

    def _check_up(self) -> None:
        if self.down:
            raise FetchError("the issuer cannot be reached: simulated")

    # --- what it does ----------------------------------------------------------------------------

    def issue(self, **changes: Any) -> tuple[str, Claims]:
        """Return a token made now, and its claims."""
        fresh = {"iat": int(self.now()), "exp": int(self.now()) + 600, "jti": new_jti()}
        claims = make_claims(**fresh | changes)
        return self.sign(build_payload(claims)), claims

    def add_revocation(
        self, kind: Kind, value: str, *, upto: int | None = None, life: int = 720
    ) -> None:
        """Append any revocation, also one that no issuer would append. `life`: seconds."""
        self.append(Revocation(kind=kind, value=value, exp=int(self.now()) + life, upto=upto))

    def fail_over(self, to_seq: int) -> None:
        """Lose all revocations after `to_seq`; their numbers will be given out again."""
        kept = [record for record in self.log if record.position.seq <= to_seq]
        self.log.reset(kept, kept[-1].position if kept else Position(0, "t0"))
        self.wake()

    def go_down(self) -> None:
        self.down = True
        self.wake()

    def wake(self) -> None:
        """Answer all polls that wait for news."""
        self._changed.set()
        self._changed = asyncio.Event()

    def sign_page(
        self,
        page: FeedPage | dict[str, Any],
        *,
        typ: str = "denylist+jwt",
        key: SigningKey | None = None,
    ) -> str:
        payload = build_page_payload(page) if isinstance(page, FeedPage) else page
        return self.sign(payload, typ=typ, key=key)

    def make_verifier(self, *, skew: float = 0.0, **options: Any) -> Verifier:
        """Return a verifier of this issuer that has not been started."""
        values: dict[str, Any] = {
            "issuer": ISSUER,
            "audience": "api",
            "fetcher": self,
            "clock": simulated_clock(skew=skew),
        }
        return Verifier(**values | options)


def reason_of(verifier: VerifiesTokens, token: str) -> str | None:
    """Return why a token is refused, None if it is accepted."""
    try:
        verifier.verify(token)
    except BearerError as error:
        return error.reason
    return None


async def is_running(verifier: Verifier) -> bool:
    """Tell whether a verifier has been started and not closed. Nothing changes by asking."""
    try:
        await verifier.start()
    except RuntimeError:
        return True
    await verifier.close()
    return False


def unsigned_part(value: object) -> str:
    """Return one part of a compact JWS: base64url of JSON."""
    return encode_part(json.dumps(value, separators=(",", ":")).encode())


def encode_part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
