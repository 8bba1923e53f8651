"""A relying party in a process of its own: followers that verify what they are given.

Run with an issuer and options of `Verifier` as JSON. Each line of stdin is a request, each line of
stdout its answer: `verify TOKEN` is answered by `good` or by kind and reason of the refusal;
`await TOKEN` by the reason of the refusal and the moment of the monotonic clock, which all
processes of a machine share, as soon as the token is refused.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from testbed.processes import ROOT
from testbed.waiting import PATIENCE
from tokensvc.core.errors import BearerError, InvalidTokenError
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterable

_POLL_SECONDS = 0.0005


class RelyingParty:
    """Speaks with the process.

    `followers`: how many follow in it; all but the first are there for the load.
    """

    def __init__(
        self, issuer: str, *, audience: str = "api", followers: int = 1, **options: float
    ) -> None:
        told = {"issuer": issuer, "audience": audience, **options}
        command = [sys.executable, "-m", "testbed.relying_party", str(followers), json.dumps(told)]
        self._child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        """Return when every follower has made its first attempt to reach the issuer."""
        if self._read() != "ready":
            raise RuntimeError("the relying party did not start")
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        with self._child:
            if self._child.stdin is not None:
                self._child.stdin.close()

    def verify(self, token: str) -> str:
        """Return `good`, or kind and reason of the refusal."""
        self._write(f"verify {token}")
        return self._read()

    def wait_for_refusal(self, token: str) -> tuple[str, float]:
        """Return why and when (monotonic clock) a token is refused that is good at first."""
        self._write(f"await {token}")
        reason, _, moment = self._read().rpartition(" ")
        return reason, float(moment)

    def _write(self, line: str) -> None:
        if self._child.stdin is None:
            raise RuntimeError("the relying party has no stdin")
        print(line, file=self._child.stdin, flush=True)

    def _read(self) -> str:
        if self._child.stdout is None:
            raise RuntimeError("the relying party has no stdout")
        return self._child.stdout.readline().strip()


def _verify(verifier: Verifier, token: str) -> str:
    try:
        verifier.verify(token)
    except BearerError as error:
        return f"{type(error).__name__} {error.reason}"
    return "good"


async def _wait_for_refusal(verifier: Verifier, token: str) -> str:
    give_up_on = time.monotonic() + PATIENCE
    while time.monotonic() < give_up_on:
        try:
            verifier.verify(token)
        except InvalidTokenError as error:
            return f"{error.reason} {time.monotonic()}"
        await asyncio.sleep(_POLL_SECONDS)
    return "still_good inf"


async def _answer(verifiers: Iterable[Verifier]) -> None:
    async with AsyncExitStack() as stack:
        entered = [stack.enter_async_context(verifier) for verifier in verifiers]
        first, *_ = await asyncio.gather(*entered)
        print("ready", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            verb, _, token = line.partition(" ")
            if verb == "verify":
                print(_verify(first, token), flush=True)
            else:
                print(await _wait_for_refusal(first, token), flush=True)


def _main(followers: str, options: str) -> None:
    told: dict[str, Any] = json.loads(options)
    asyncio.run(_answer(Verifier(**told) for _ in range(int(followers))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
