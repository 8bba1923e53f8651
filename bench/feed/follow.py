"""Many followers in one process, each of which notes when it refuses each token.

    python -m bench.feed.follow ISSUER FEED FOLLOWERS TOKENS

TOKENS is a file, one token a line. It prints "ready" when all follow, and at the end of stdin what
was seen. Times are those of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import read_unverified
from tokensvc.verify import Verifier
from tokensvc.verify._fetch import Fetcher

if TYPE_CHECKING:
    from collections.abc import Mapping

AUDIENCE: Final = "api"
_TIMEOUT: Final = 5.0


class Watch(Fetcher):
    """A fetcher that has every token of a page verified as soon as the page has been applied.

    That is when the next page is asked for. So what counts is the refusal, not the page.
    """

    def __init__(self, name: str, tokens: Mapping[str, str]) -> None:
        super().__init__(timeout=_TIMEOUT, follower=name)
        self.refused: list[tuple[str, float]] = []
        self.wrong: list[str] = []
        self.verifier: Verifier | None = None
        self._tokens = tokens
        self._page = ""

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Verify what the page before this one revokes, and ask for the next."""
        if self._page:
            for entry in read_unverified(self._page)[1]["entries"]:
                self._verify(entry.get("jti"))
        self._page = ""
        self._page = await super().fetch_page(url, after, wait)
        return self._page

    def _verify(self, jti: str) -> None:
        if jti not in self._tokens or self.verifier is None:
            return
        try:
            self.verifier.verify(self._tokens[jti])
            self.wrong.append(jti)
        except InvalidTokenError:
            self.refused.append((jti, time.monotonic()))


async def follow(issuer: str, feed: str, followers: int, listed: str) -> None:
    """Follow so many times over until the end of stdin; print when each token was refused."""
    tokens = {read_unverified(token)[1]["jti"]: token for token in listed.split()}
    watches = [Watch(f"{feed}/{number}"[-90:], tokens) for number in range(followers)]
    async with AsyncExitStack() as stack:
        for watch in watches:
            watch.verifier = Verifier(
                issuer=issuer,
                audience=AUDIENCE,
                denylist_url=feed,
                fetcher=watch,
                remember=2000,
            )
        verifiers = [watch.verifier for watch in watches if watch.verifier is not None]
        await asyncio.gather(*(stack.enter_async_context(verifier) for verifier in verifiers))
        for verifier in verifiers:
            for token in tokens.values():
                verifier.verify(token)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    refused = [moment for watch in watches for moment in watch.refused]
    wrong = [jti for watch in watches for jti in watch.wrong]
    print(json.dumps({"refused": refused, "wrong": wrong}), flush=True)


def main() -> None:
    """Follow as the arguments say."""
    issuer, feed, followers, tokens = sys.argv[1:]
    asyncio.run(follow(issuer, feed, int(followers), Path(tokens).read_text()))


if __name__ == "__main__":
    main()
