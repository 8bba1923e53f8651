"""What the ledger has done with leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

from tokensvc.core.errors import InvalidClientError
from tokensvc.core.ledger import Question

UNKNOWN = Question(bytes(31) + b"1", None, None, True)


async def test_what_was_refused_is_gone_at_once_and_needs_no_garbage_collector(exchange):
    class Refuse:
        def __call__(self, decision):
            assert decision is None
            raise InvalidClientError("unknown_key")

    async def be_refused():
        refuse = Refuse()
        with contextlib.suppress(InvalidClientError):
            await exchange.ledger.join_batch(UNKNOWN, refuse)
        return weakref.ref(refuse)

    gc.collect()
    gc.disable()
    try:
        refused = await asyncio.gather(*(be_refused() for _ in range(5)))
        await asyncio.sleep(0.01)
        assert [reference() for reference in refused] == [None] * 5
    finally:
        gc.enable()
