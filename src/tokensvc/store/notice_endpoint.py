"""Who is told of events (`sql/queries/notice_endpoint.sql`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.errors import NotFoundError
from tokensvc.core.notices.endpoint import Endpoint
from tokensvc.store.page_query import Condition, Order, fetch_page
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, timedelta

    import asyncpg

    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.core.notices.endpoint import DisabledBecause
    from tokensvc.store.page_query import PageWish

_SQL = load_queries("notice_endpoint")
_CREATED: Final = Order("created_at", "timestamptz")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedEndpoint:
    """An endpoint that the caller alone delivers to until `leased_until`, or until it releases it.

    `sealed_secrets`: the present one first; none for a mailbox.
    """

    id: str
    account_id: str | None
    url: str
    sealed_secrets: tuple[bytes, ...]
    confirmed_at: datetime | None
    failures: int
    leased_until: datetime


class Released(NamedTuple):
    """Since when an endpoint fails, None if it does not; and Postgres's clock."""

    failing_since: datetime | None
    at: datetime


class SealedSecrets(NamedTuple):
    """The sealed secrets of an endpoint."""

    id: str
    sealed_secret: bytes
    old_sealed_secret: bytes | None


async def insert_endpoint(
    connection: asyncpg.Connection,
    endpoint_id: str,
    *,
    account_id: str | None,
    url: str,
    events: Sequence[str],
    description: str,
    sealed_secret: bytes | None,
) -> None:
    """Store a new endpoint. Without a secret it is a mailbox, and not confirmed yet."""
    await connection.execute(
        _SQL["insert"], endpoint_id, account_id, url, events, description, sealed_secret,
        sealed_secret is not None,
    )  # fmt: skip


async def find_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> Endpoint | None:
    """Return an endpoint, None if there is none."""
    row = await connection.fetchrow(_SQL["find"], endpoint_id)
    return None if row is None else _build_endpoint(row)


async def load_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> Endpoint:
    """Return an endpoint. Raises NotFoundError."""
    endpoint = await find_endpoint(connection, endpoint_id)
    if endpoint is None:
        raise no_such_endpoint(endpoint_id)
    return endpoint


async def lock_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> Endpoint:
    """Return an endpoint, held against other changes. Raises NotFoundError."""
    await connection.execute(_SQL["lock"], endpoint_id)
    return await load_endpoint(connection, endpoint_id)


async def list_endpoint_page(
    connection: asyncpg.Connection, account_id: str | None, wish: PageWish
) -> tuple[list[Endpoint], ListPlace | None]:
    """Return a page of endpoints, oldest first, and the place where the next one begins.

    `account_id`: only those of one account.
    """
    conditions = [] if account_id is None else [Condition("account_id = {}", account_id)]
    page = await fetch_page(connection, "listed_notice_endpoint", conditions, _CREATED, wish)
    return [_build_endpoint(row) for row in page.rows], page.end


async def count_endpoints(connection: asyncpg.Connection, account_id: str | None) -> int:
    """Return how many endpoints an account has; None: those of the whole service."""
    count: int = await connection.fetchval(_SQL["count_of"], account_id)
    return count


async def count_links(connection: asyncpg.Connection, account_id: str) -> int:
    """Return how many links the mailboxes of an account were to be sent within a day."""
    count: int = await connection.fetchval(_SQL["count_links"], account_id)
    return count


async def update_endpoint(connection: asyncpg.Connection, endpoint: Endpoint) -> None:
    """Change URL, events and description."""
    await connection.execute(
        _SQL["update"], endpoint.id, endpoint.url, endpoint.events, endpoint.description
    )


async def lock_contact(connection: asyncpg.Connection, account_id: str) -> Endpoint | None:
    """Return the mailbox that is the contact of an account, held against other changes."""
    found = await connection.fetchval(_SQL["lock_contact"], account_id)
    return None if found is None else await load_endpoint(connection, found)


async def find_mailbox(
    connection: asyncpg.Connection, account_id: str, url: str
) -> Endpoint | None:
    """Return a mailbox of an account that has this URL and is not disabled, and hold it."""
    found = await connection.fetchval(_SQL["find_mailbox"], account_id, url)
    return None if found is None else await load_endpoint(connection, found)


async def mark_contact(connection: asyncpg.Connection, endpoint_id: str) -> None:
    """Make a mailbox the contact of its account, which has none."""
    await connection.execute(_SQL["mark_contact"], endpoint_id)


async def enable_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> None:
    """Deliver to an endpoint again, what has waited first."""
    await connection.execute(_SQL["enable"], endpoint_id)


async def disable_endpoint(
    connection: asyncpg.Connection, endpoint_id: str, because: DisabledBecause
) -> bool:
    """Deliver nothing more to an endpoint; return whether it was not disabled before."""
    return await connection.fetchval(_SQL["disable"], endpoint_id, because) is not None


async def delete_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> None:
    """Show and use an endpoint no more."""
    await connection.execute(_SQL["delete"], endpoint_id)


async def set_secret(
    connection: asyncpg.Connection, endpoint_id: str, sealed: bytes, grace: timedelta
) -> None:
    """Sign with a new secret, and for a while with the old one as well."""
    await connection.execute(_SQL["set_secret"], endpoint_id, sealed, grace)


async def confirm_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> bool:
    """Note that a mailbox is confirmed; return whether it was not before."""
    return await connection.fetchval(_SQL["confirm"], endpoint_id) is not None


async def unsubscribe_endpoint(connection: asyncpg.Connection, endpoint_id: str) -> bool:
    """Send nothing more to a mailbox, which is not confirmed any more; return if that is new."""
    return await connection.fetchval(_SQL["unsubscribe"], endpoint_id) is not None


async def list_sealed_secrets(connection: asyncpg.Connection) -> list[SealedSecrets]:
    """Return the secrets of all endpoints, and hold them against changes."""
    return [SealedSecrets._make(row) for row in await connection.fetch(_SQL["list_sealed"])]


async def reseal_secrets(connection: asyncpg.Connection, secrets: SealedSecrets) -> None:
    """Store secrets that were sealed anew."""
    await connection.execute(_SQL["reseal"], *secrets)


async def claim_endpoint(
    connection: asyncpg.Connection,
    *,
    is_failing: bool,
    lease: timedelta,
    crowded: Collection[str | None] = (),
) -> ClaimedEndpoint | None:
    """Take the endpoint that was served longest ago, of those that are due; None if none is.

    `is_failing`: one whose last delivery failed, or one of the others. `crowded`: accounts of which
    none is taken; None is the service itself.
    """
    # A null in the array would be equal to nothing, so the service itself is an empty text.
    accounts = [account_id or "" for account_id in crowded]
    row = await connection.fetchrow(_SQL["claim"], is_failing, lease, accounts)
    if row is None:
        return None
    sealed = (row["sealed_secret"], row["old_sealed_secret"])
    return ClaimedEndpoint(
        id=row["id"],
        account_id=row["account_id"],
        url=row["url"],
        sealed_secrets=tuple(secret for secret in sealed if secret is not None),
        confirmed_at=row["confirmed_at"],
        failures=row["failures"],
        leased_until=row["leased_until"],
    )


async def release_endpoint(
    connection: asyncpg.Connection,
    claimed: ClaimedEndpoint,
    *,
    hold: timedelta,
    has_failed: bool | None,
) -> Released | None:
    """Let others deliver to an endpoint after `hold`; None if the lease was over already.

    `has_failed`: how the last delivery ended, None if there was none.
    """
    row = await connection.fetchrow(
        _SQL["release"], claimed.id, claimed.leased_until, hold, has_failed
    )
    return None if row is None else Released._make(row)


async def delete_endpoints(connection: asyncpg.Connection, before: datetime) -> None:
    """Delete the rows of endpoints that were deleted before a moment."""
    await connection.execute(_SQL["delete_before"], before)


def no_such_endpoint(endpoint_id: str) -> NotFoundError:
    """Return the error for an endpoint that does not exist, or was deleted."""
    return NotFoundError(f"there is no endpoint {endpoint_id[:40]!r}", thing=endpoint_id)


def _build_endpoint(row: asyncpg.Record) -> Endpoint:
    fields: dict[str, Any] = {name: row[name] for name in Endpoint.__slots__}
    return Endpoint(**fields | {"events": tuple(fields["events"])})
