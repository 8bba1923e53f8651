"""The denylist table (`sql/queries/denylist.sql`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.denylist.columns import PackedRecords, RecordColumns
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.record import ENDINGS, RevocationRecord
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.keyring import LEEWAY
from tokensvc.store.audit_event import encode_actors, fetch_standing, find_caller
from tokensvc.store.driver_errors import not_initialised
from tokensvc.store.page_query import Condition, Order, fetch_page
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence
    from datetime import timedelta

    import asyncpg

    from tokensvc.core.actor import Actor
    from tokensvc.core.denylist.record import Ending
    from tokensvc.core.denylist.revocation import Kind
    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.store.page_query import PageWish

_SQL = load_queries("denylist")
_SEQ: Final = Order("seq", "bigint", id="seq", id_type="bigint")
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)
# So many entries are read by one statement: it ends long before any timeout.
_READ_AT_ONCE: Final = 5000


async def append_revocation(
    connection: asyncpg.Connection,
    ending: Ending,
    value: str,
    *,
    watermark: datetime | None,
    expires_at: datetime,
    healed: bool = False,
) -> Position:
    """Append a revocation and return its position; wake every process at the commit.

    Acts that end keys, accounts and tokens append by themselves, in SQL functions. The service
    calls this for signing keys alone. The ending says what kind of thing `value` names. Other
    transactions that append wait until this one ends, because the positions have no gaps. So it
    must be the last statement of its transaction.
    """
    kind = ENDINGS[ending].kind
    (row,) = await connection.fetch(
        _SQL["append"], kind, value, watermark, expires_at, ending, healed
    )
    return Position(row["seq"], row["tag"])


async def revoke_tokens(
    connection: asyncpg.Connection,
    tokens: Iterable[tuple[str, datetime, dict[str, Any]]],
    *,
    actor: Actor | Sequence[Actor],
) -> list[RevocationRecord]:
    """Revoke tokens: `jti`, until when, and what the audit trail keeps of each.

    `actor`: who acts, or who does so at each place. Returns all their revocations, oldest first. It
    is one statement, which commits itself: see `sql/functions/revoke_tokens.sql`. Raises
    CallerEndedError.
    """
    jtis, expiries, details = zip(*tokens, strict=True)
    acts = jtis, expiries, details, encode_actors(actor), ENDINGS["token_revoked"].operation
    rows = await fetch_standing(connection, _SQL["revoke_tokens"], *acts, caller=find_caller(actor))
    return [build_record(row) for row in rows]


async def revoke_token_by_id(
    connection: asyncpg.Connection, jti: str, life: timedelta | None, *, actor: Actor, reason: str
) -> tuple[RevocationRecord | None, timedelta]:
    """Revoke a token of which only the id is known; `life` None: the longest that any can have.

    Returns the revocation, and the longest life. There is no revocation if no token has `life`.
    Raises CallerEndedError.
    """
    acts = jti, life, actor.facts, reason, LEEWAY
    (row,) = await fetch_standing(
        connection, _SQL["revoke_token_by_id"], *acts, caller=actor.caller
    )
    return None if row["record"] is None else build_record(row["record"]), row["longest"]


async def heal_revocations(
    connection: asyncpg.Connection,
    remembered: Sequence[RevocationRecord],
    now: datetime,
    *,
    actor: Actor,
) -> list[RevocationRecord]:
    """Append what the table has lost of `remembered`, with the state that belongs to it.

    What has expired at `now` is left out. Returns what was appended. It is one statement, which
    commits itself: see `sql/functions/heal_revocations.sql`.
    """
    rows = await connection.fetch(
        _SQL["heal"],
        [record.revocation.kind for record in remembered],
        [record.revocation.value for record in remembered],
        [record.watermark for record in remembered],
        [record.created_at for record in remembered],
        [datetime.fromtimestamp(record.revocation.exp, UTC) for record in remembered],
        [record.ending for record in remembered],
        # What each ending takes away is told by this one table, here and in SQL.
        {ending: facts._asdict() for ending, facts in ENDINGS.items()},
        actor.facts,
        LEEWAY,
        now,
    )
    return [build_record(row) for row in rows]


async def prove_durable(connection: asyncpg.Connection) -> None:
    """Let the commit of this transaction wait until all that it has seen is durable."""
    await connection.execute(_SQL["prove_durable"])


async def find_ended(
    connection: asyncpg.Connection,
    things: Collection[tuple[Kind, str]],
    *,
    key_id: str,
    account_id: str,
    issued_at: datetime,
) -> Kind | None:
    """Return what has ended of all that a token needs to live, None if nothing has.

    `things`: everything whose revocation covers the token. The rows of its key and account are
    asked too, because they outlast the denylist. Raises UnavailableError while the database is
    being restored.
    """
    kinds, values = [kind for kind, _ in things], [value for _, value in things]
    found = await connection.fetchval(
        _SQL["find_ended"], kinds, values, key_id, account_id, issued_at
    )
    if found == "nothing_known":
        raise not_initialised()
    # The statement says "" if nothing has ended.
    return found or None


async def read_after(
    connection: asyncpg.Connection,
    seq: int,
    now: datetime | None = None,
    *,
    at_once: int = _READ_AT_ONCE,
) -> AsyncIterator[RecordColumns]:
    """Go through what is alive at `now` and stands after `seq`, in order, `at_once` at a time.

    Without `now` it is all that stands there, expired or not. A reader that never comes back to a
    place asks like that: a clock that was wrong for a moment then hides nothing from it for good.
    """
    while True:
        (row,) = await connection.fetch(_SQL["read_after"], seq, now or _LONG_AGO, at_once)
        # All entries come in one row, each fact of them as one packed column: 5,000 rows would take
        # four times as long (decision 0017).
        last_seq, *packed = row
        if last_seq is None:
            return
        columns = RecordColumns.unpack(PackedRecords(*packed))
        yield columns
        if len(columns) < at_once:
            return
        seq = last_seq


async def list_revocation_page(
    connection: asyncpg.Connection,
    wish: PageWish,
    *,
    kind: Kind | None = None,
    value: str | None = None,
    newest_first: bool = False,
) -> tuple[list[RevocationRecord], ListPlace | None]:
    """Return a page of what is in force, and the place where the next one begins.

    `kind`, `value`: only revocations of these.
    """
    conditions = [Condition("expires_at > clock_timestamp() and {}", value=True)]
    if kind is not None:
        conditions.append(Condition("kind = {}", kind))
    if value is not None:
        conditions.append(Condition("value = {}", value))
    order = _SEQ._replace(descending=newest_first)
    page = await fetch_page(connection, "denylist", conditions, order, wish)
    return [build_record(row) for row in page.rows], page.end


async def count_revocations(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how many revocations of each kind are in force.

    Under `healed` it says how many of all these Postgres had lost.
    """
    (row,) = await connection.fetch(_SQL["count"])
    return dict(row)


async def list_named(
    connection: asyncpg.Connection, things: Collection[tuple[Kind, str]]
) -> list[RevocationRecord]:
    """Return the revocations of any of `things`, in order."""
    kinds, values = [kind for kind, _ in things], [value for _, value in things]
    return [build_record(row) for row in await connection.fetch(_SQL["list_named"], kinds, values)]


async def list_of(
    connection: asyncpg.Connection, values: Collection[str]
) -> list[RevocationRecord]:
    """Return the revocations of one of `values`, of whatever kind, in order."""
    return [build_record(row) for row in await connection.fetch(_SQL["list_of"], values)]


async def find_tag(connection: asyncpg.Connection, seq: int) -> str | None:
    """Return the tag of the revocation `seq`, None if it is not there, or not any more."""
    tag: str | None = await connection.fetchval(_SQL["find_tag"], seq)
    return tag


async def is_revoked(connection: asyncpg.Connection, kind: Kind, value: str) -> bool:
    """Tell whether just this value is revoked."""
    revoked: bool = await connection.fetchval(_SQL["is_revoked"], kind, value)
    return revoked


async def delete_expired(connection: asyncpg.Connection, now: datetime, most: int) -> int:
    """Delete at most `most` expired revocations; return how many."""
    return len(await connection.fetch(_SQL["delete_expired"], now, most))


def build_record(row: asyncpg.Record) -> RevocationRecord:
    """Return the record that a row of `listed_revocation` stands for."""
    return RevocationRecord(
        position=Position(row["seq"], row["tag"]),
        revocation=Revocation(
            kind=row["kind"],
            value=row["value"],
            exp=int(row["expires_at"].timestamp()),
            upto=None if row["watermark"] is None else int(row["watermark"].timestamp()),
        ),
        ending=row["ending"],
        healed=row["healed"],
        watermark=row["watermark"],
        created_at=row["created_at"],
    )
