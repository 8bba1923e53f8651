"""Followers that know what they must know before a test asks them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from testbed.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tokensvc.verify import Verifier


@asynccontextmanager
async def following(verifier: Verifier) -> AsyncIterator[Verifier]:
    """Start a verifier; lend it when it can judge tokens.

    A start waits for a few seconds only, and returns without keys if the issuer is slower.
    """
    async with verifier:
        await until(lambda: verifier.status().ready)
        yield verifier
