"""A relying party in a process of its own: `Verifier` with tokens on stdin and verdicts on stdout.

Run with an issuer as the argument, it answers one line for each token: `good`, or kind and reason of the refusal.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Self

from tokensvc.core.errors import BearerError
from tokensvc.verify import Verifier

ROOT = Path(__file__).parent.parent.parent


class RelyingParty:
    """Speaks with the process."""

    def __init__(self, issuer: str) -> None:
        command = [sys.executable, "-m", "tests.e2e.relying_party", issuer]
        self._child = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._child:
            assert self._child.stdin is not None
            self._child.stdin.close()

    def verify(self, token: str) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(token, file=self._child.stdin, flush=True)
        return self._child.stdout.readline().strip()


async def _main(issuer: str) -> None:
    async with Verifier(
        issuer=issuer, audience="api", feed_wait=1, http_timeout=1, max_staleness=3
    ) as verifier:
        while token := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                verifier.verify(token)
                print("good", flush=True)
            except BearerError as error:
                print(type(error).__name__, error.reason, flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
