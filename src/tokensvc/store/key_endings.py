"""What ends API keys and their tokens (`sql/functions/end_keys.sql`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.keyring import LEEWAY
from tokensvc.store.api_key import list_row
from tokensvc.store.audit_event import encode_actors, fetch_standing, find_caller
from tokensvc.store.denylist import build_record
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.denylist.record import Ending, RevocationRecord
    from tokensvc.core.identifier import KeyId

EndingOutcome = Literal["ended", "repeated", "refused", "unknown"]

_SQL = load_queries("api_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedKey:
    """What became of a key that was to be ended.

    `outcome`: "ended" now; "repeated" if it had been before, and nothing was written; "refused" if
    its state does not allow it; "unknown" if there is no such key. `listed`: the key afterwards,
    None if it is deleted. `records`: its revocations, oldest first.
    """

    outcome: EndingOutcome
    key_id: KeyId | None
    listed: ListedKey | None
    records: list[RevocationRecord]


async def end_api_keys(
    connection: asyncpg.Connection,
    ending: Ending,
    *,
    key_ids: Sequence[str] | None = None,
    digests: Sequence[bytes] | None = None,
    actor: Actor | Sequence[Actor],
    detail: dict[str, Any],
    keep_successors: bool = False,
) -> list[EndedKey]:
    """Disable, revoke or delete keys, or revoke their tokens only; return what became of each.

    They are named by their ids or by their digests. `actor`: who acts, or who does so at each
    place. `detail` is for the audit trail. `keep_successors`: whether those that a key has made by
    rotating itself outlive it; else they are revoked with it. It is one statement, which commits
    itself if no transaction is open: see `sql/functions/end_keys.sql`. Raises CallerEndedError.
    """
    operation = ENDINGS[ending].operation
    named = [None] * len(digests or ()) if key_ids is None else key_ids
    acts = ending, operation, named, digests, encode_actors(actor), detail, LEEWAY
    rows = await fetch_standing(
        connection, _SQL["end"], *acts, keep_successors, caller=find_caller(actor)
    )
    return [
        EndedKey(
            outcome=row["outcome"],
            key_id=row["key_id"],
            listed=None if row["shown"] is None else list_row(row["shown"], row["at"]),
            records=[build_record(record) for record in row["records"]],
        )
        for row in rows
    ]
