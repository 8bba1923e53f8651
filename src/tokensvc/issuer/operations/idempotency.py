"""Requests that are named by their sender (`Idempotency-Key`), so that repeating one is safe.

The name is taken in the transaction of the act. So either both are there afterwards or neither, and
an equal request that comes meanwhile waits for the end of the first (the unique index makes it
wait). A name belongs to the key of the sender, and is kept for a day.

The answer to a new API key holds a secret. It is kept apart for ten minutes, sealed with the master
key, and bound to the sender and the request: in another row it does not open.

What the sender may do is a part of the request. Else a token that was narrowed to tokensvc:keys
could fetch the key that its own API key has made as an admin.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.capability import is_for_service
from tokensvc.core.errors import IdempotencyKeyReusedError
from tokensvc.core.sealing import seal_text, unseal_text
from tokensvc.issuer.cleaning import delete_in_steps
from tokensvc.store import idempotent_request as table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from datetime import datetime

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.identifier import KeyId
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Model
    from tokensvc.operations.operation import Operation
    from tokensvc.store.pool import Database

KEPT_FOR: Final = timedelta(hours=24)


class NamedRequest(NamedTuple):
    """A request, the name that its sender gave it, and who that is.

    `capabilities`: those of the API key or token that was shown. `counted_from`: as in
    `run_operation`.
    """

    operation: Operation
    request: Model
    name: str
    key_id: KeyId
    capabilities: Collection[str]
    counted_from: Mapping[str, str]

    @property
    def fingerprint(self) -> bytes:
        """What is asked for, however it was written, and what the sender may do at the service."""
        rights = " ".join(sorted(filter(is_for_service, self.capabilities)))
        fields = self.request.model_dump_json(exclude=set(self.counted_from))
        text = f"{self.operation.name} {rights} {fields}"
        if self.counted_from:
            text += f" {json.dumps(self.counted_from, sort_keys=True)}"
        return hashlib.sha256(text.encode("utf-8")).digest()

    @property
    def context(self) -> str:
        """What a sealed secret belongs to."""
        return f"answer to {self.key_id} {self.name} {self.fingerprint.hex()}"


async def carry_out_once(
    call: Call, named: NamedRequest, act: Callable[[Call], Awaitable[Model]]
) -> tuple[Model, bool]:
    """Return the answer to a named request, and whether it is that of an earlier one.

    Raises IdempotencyKeyReusedError if the name was given to another request, and what `act`
    raises; the name is free again then.
    """
    master_key = call.backend.load_master_key()
    acknowledged: list[RevocationRecord] = []
    # What is revoked counts as acknowledged only after the commit.
    backend = replace(call.backend, remember=acknowledged.extend)
    async with call.database.transaction() as connection:
        stored = await table.claim_request(connection, named.key_id, named.name, named.fingerprint)
        if stored is not None:  # the first request has committed, or the claim would have waited
            return _repeat(stored, named, master_key), True
        response = await act(replace(call, backend=backend, connection=connection))
        answer = response.model_dump(mode="json")
        sealed = None
        if response.shown_once is not None:
            secret = answer.pop(response.shown_once)
            sealed = None if secret is None else seal_text(secret, named.context, master_key)
        await table.store_answer(connection, named.key_id, named.name, answer, sealed)
    call.backend.remember(acknowledged)
    return response, False


def _repeat(stored: table.StoredAnswer, named: NamedRequest, master_key: MasterKey) -> Model:
    if stored.fingerprint != named.fingerprint:
        raise IdempotencyKeyReusedError
    answer = stored.answer
    field = named.operation.response.shown_once
    if field is not None:
        secret = None
        if stored.sealed_secret is not None:
            secret = unseal_text(stored.sealed_secret, named.context, master_key)
        answer = answer | {field: secret, "replayed": True}
    return named.operation.response.model_validate(answer)


async def clean_requests_once(database: Database, now: datetime) -> None:
    """Delete secrets after ten minutes and requests after a day. Raises UnavailableError."""
    async with database.connection() as connection:
        await table.delete_secrets(connection, now - table.SECRET_LIFE)
    await delete_in_steps(database, table.delete_requests, now - KEPT_FOR)
