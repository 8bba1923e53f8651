"""`ThreadedTokenSource`: a `TokenSource` for programs without asyncio.

It is safe with threads and after fork. The exchanges run in the background, so a caller that has a
good old token does not wait, and a caller that is interrupted takes nothing away from the others.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Self

from tokensvc.client._errors import SourceClosedError
from tokensvc.client._loop_thread import LoopThread
from tokensvc.client._source import TokenSource

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from tokensvc.client._options import TokenSourceOptions


class ThreadedTokenSource:
    """Gives tokens like `TokenSource`, with the same options, in any thread."""

    def __init__(self, **options: Unpack[TokenSourceOptions]) -> None:
        self._source = TokenSource(**options)
        self._state = self._source._state  # noqa: SLF001 - both sources hold the same tokens
        self._rotation = self._source._rotation  # noqa: SLF001
        self._thread = LoopThread("tokensvc-client")

    def __repr__(self) -> str:
        """Return what `repr` of a TokenSource says."""
        return repr(self._source).replace("TokenSource", type(self).__name__, 1)

    def __enter__(self) -> Self:
        """Return the source. Nothing starts here: the first caller gets the first token."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""
        self.close()

    def get_token(self, *, audience: str | None = None, scope: str | None = None) -> str:
        """Return a good token, and ask the issuer for one if it is time to.

        Raises what `TokenSource.get_token` raises.
        """
        plan = self._state.plan(self._state.parse_wanted(audience, scope))
        if plan.refresh:
            # The event loop plans again, because another thread may have got the token meanwhile.
            token = self._thread.submit(
                lambda: self._source.get_token(audience=audience, scope=scope)
            )
            if plan.wait:
                try:
                    return token.result(min(plan.wait, self._state.options.longest_wait))
                except (TimeoutError, CancelledError):
                    pass  # too late, or the source has been closed: the caller has what it had
        return self._state.settle(plan, None)

    def drop_token(
        self, token: str, *, audience: str | None = None, scope: str | None = None
    ) -> bool:
        """Note that a relying party refused `token`.

        Returns whether the request is worth repeating with another token.
        """
        return self._source.drop_token(token, audience=audience, scope=scope)

    def close(self) -> None:
        """Forget the tokens and end the exchanges that run; callers that wait stop waiting."""
        self._state.close()
        if self._rotation is not None and self._rotation.is_running:
            with contextlib.suppress(TimeoutError, CancelledError, SourceClosedError):
                # A successor that is not written into the file would be lost with the thread.
                done = self._thread.submit(self._rotation.finish)
                done.result(self._state.options.timeout)
        self._thread.stop()
