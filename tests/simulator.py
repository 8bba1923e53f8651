"""A loop whose clock jumps, and the issuer of the testing kit turned bad: verifiers live through hours in milliseconds, without sockets.

`SimulatedIssuer` stands where `verify.fetch.Fetcher` does. It goes down, fails over and lies. `simulated` runs a test in a loop that never
waits: when nothing is ready, its clock moves to the next timer, so every duration in a test is exact.
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
from tokensvc.core.denylist.page import Page, build_page_payload
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import new_jti
from tokensvc.verify import BearerError, Verifier
from tokensvc.verify.fetch import FetchError, JwksAnswer
from tokensvc.verify.refresh import Clock
from tokensvc.verify.testing import FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.revocation import Kind
    from tokensvc.core.token import SigningKey
    from tokensvc.verify.bearer import VerifiesTokens

_T = TypeVar("_T")

START = seconds(NOW)


class _JumpingSelector(selectors.SelectSelector):
    """Never blocks; tells the loop how long it would have blocked."""

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
        """Work of a thread takes no time here."""
        del executor
        done: asyncio.Future[_T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever a thread would have passed on
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
    """The clock of the running loop; `skew`: seconds that the wall clock is ahead of the issuer's."""
    loop = asyncio.get_running_loop()
    return Clock(lambda: START + loop.time() + skew, loop.time)


class SimulatedIssuer(FakeIssuer):
    """A `FakeIssuer` that stands where `Fetcher` does, goes down, fails over, and lies: `page_lie`, `jwks_lie` replace an answer."""

    def __init__(self, *, max_age: float = 300.0, wait_is_kept: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(issuer=ISSUER, now=lambda: START + self._loop.time(), max_age=max_age)
        self._changed = asyncio.Event()
        self._listeners.append(self.wake)
        self._wait_is_kept = wait_is_kept
        self.down = False
        self.latency = 0.0
        self.answering = False
        self.cached_for = 0.0
        self.jwks_lie: bytes | None = None
        self.page_lie: Callable[[str | None], str] | None = None
        self.jwks_asked_at: list[float] = []
        self.etags_asked: list[str | None] = []
        self.pages_asked: list[str | None] = []
        self.is_open = False

    # --- what Fetcher offers -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        assert url == f"{ISSUER}/.well-known/jwks.json"
        assert not self.answering, "two fetches at once"
        self.answering = True
        self.jwks_asked_at.append(self._loop.time())
        self.etags_asked.append(etag)
        await asyncio.sleep(self.latency)
        self.answering = False
        self._check_up()
        document = self.jwks_lie if self.jwks_lie is not None else self.jwks
        current = f'"{hash(document)}"'
        return JwksAnswer(
            None if etag == current else document, current, self.max_age, self.cached_for
        )

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        assert url == f"{ISSUER}/v1/denylist"
        self.pages_asked.append(after)
        await asyncio.sleep(0)  # as every network does
        self._check_up()
        if self.page_lie is not None:
            return self.page_lie(after)
        if after is not None and after == str(self.log.head) and self._wait_is_kept:
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._check_up()
        return self.page(after)

    def _check_up(self) -> None:
        if self.down:
            raise FetchError("the issuer cannot be reached: simulated")

    # --- what it does --------------------------------------------------------------------------------------------------------

    def issue(self, **changes: Any) -> tuple[str, Claims]:
        """A token made now, with its claims."""
        fresh = {"iat": int(self.now()), "exp": int(self.now()) + 600, "jti": new_jti()}
        claims = make_claims(**fresh | changes)
        return self.sign(build_payload(claims)), claims

    def deny(self, kind: Kind, value: str, *, upto: int | None = None, life: int = 720) -> None:
        """Append an entry of whatever kind, also one that a sound issuer would not append like that."""
        self.append(Revocation(kind=kind, value=value, exp=int(self.now()) + life, upto=upto))

    def fail_over(self, to_seq: int) -> None:
        """Lose everything after `to_seq`: the numbers after it will be given out again."""
        kept = [(position, entry) for position, entry in self.log._rows if position.seq <= to_seq]
        self.log.reset(kept, kept[-1][0] if kept else Position(0, "t0"))
        self.wake()

    def go_down(self) -> None:
        self.down = True
        self.wake()

    def wake(self) -> None:
        """Let everybody go who waits for news."""
        self._changed.set()
        self._changed = asyncio.Event()

    def sign_page(
        self,
        page: Page | dict[str, Any],
        *,
        typ: str = "denylist+jwt",
        key: SigningKey | None = None,
    ) -> str:
        payload = build_page_payload(page) if isinstance(page, Page) else page
        return self.sign(payload, typ=typ, key=key)

    def make_verifier(self, *, skew: float = 0.0, **options: Any) -> Verifier:
        """A verifier of this issuer, not started."""
        values: dict[str, Any] = {
            "issuer": ISSUER,
            "audience": "api",
            "fetcher": self,
            "clock": simulated_clock(skew=skew),
        }
        return Verifier(**values | options)


def reason_of(verifier: VerifiesTokens, token: str) -> str | None:
    """Why a token is refused; None if it is taken."""
    try:
        verifier.verify(token)
    except BearerError as error:
        return error.reason
    return None


def unsigned_part(value: object) -> str:
    """One part of a compact JWS: base64url of JSON."""
    return encode_part(json.dumps(value, separators=(",", ":")).encode())


def encode_part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
