"""Endpoints: create, change, test, end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.core.identifier import new_endpoint_id
from tokensvc.core.notices.destination import parse_destination
from tokensvc.core.notices.endpoint import MOST_ENDPOINTS, MOST_LINKS, build_secret_context
from tokensvc.core.notices.event import CONFIRM, TEST, NewNotice, parse_events
from tokensvc.core.notices.payload import new_secret
from tokensvc.core.sealing import seal_text
from tokensvc.issuer.audit import Trail, record
from tokensvc.issuer.database import accept
from tokensvc.store import notice_endpoint as table
from tokensvc.store.account import lock_account
from tokensvc.store.notice_delivery import load_first_delivery
from tokensvc.store.notice_event import append_notices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from tokensvc.core.actor import Actor
    from tokensvc.core.notices.destination import Destination
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.core.notices.event import OwnEventName
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.database import Transactions
    from tokensvc.settings import Settings
    from tokensvc.store.notice_delivery import Delivery
    from tokensvc.store.pool import Connection

    EndpointCheck = Callable[[Endpoint], None]


class NewEndpoint(NamedTuple):
    """An endpoint that was just made. `secret`: shown this once; None for a mailbox."""

    endpoint: Endpoint
    secret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChanges:
    """What to change; None leaves it as it is. `is_enabled` False: nothing more is delivered."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    is_enabled: bool | None = None


async def create_endpoint(
    database: Transactions,
    settings: Settings,
    master_key: MasterKey,
    *,
    account_id: str | None,
    url: str,
    events: Sequence[str],
    description: str,
    actor: Actor,
) -> NewEndpoint:
    """Add an endpoint; `account_id` None: it is told of the whole service.

    A mailbox is sent a link, and nothing else before that is confirmed. Raises InvalidInputError,
    NotFoundError for an account that does not exist, and ConflictError if there are too many.
    """
    destination = _parse_destination(url, settings)
    wanted = parse_events(events, of_account=account_id is not None)
    endpoint_id, secret = new_endpoint_id(), None
    if destination.kind == "webhook":
        secret = new_secret()
    async with database.transaction() as connection:
        trail = Trail(actor)
        endpoint = await insert_endpoint(
            connection,
            endpoint_id,
            account_id=account_id,
            url=destination.url,
            events=wanted,
            description=description,
            sealed_secret=None if secret is None else _seal(secret, endpoint_id, master_key),
            trail=trail,
        )
        await trail.append(connection)
    return NewEndpoint(endpoint, secret)


async def insert_endpoint(
    connection: Connection,
    endpoint_id: str,
    *,
    account_id: str | None,
    url: str,
    events: Sequence[str],
    description: str,
    sealed_secret: bytes | None,
    trail: Trail,
) -> Endpoint:
    """Store an endpoint inside a transaction that is open already. A mailbox is sent a link.

    Raises NotFoundError, and ConflictError if there are too many.
    """
    await _check_number(connection, account_id)
    await table.insert_endpoint(
        connection,
        endpoint_id,
        account_id=account_id,
        url=url,
        events=events,
        description=description,
        sealed_secret=sealed_secret,
    )
    endpoint = await table.load_endpoint(connection, endpoint_id)
    # A mailbox: whoever reads it must say first that it wants to be told.
    if endpoint.confirmed_at is None:
        await _append_own_notice(connection, endpoint, CONFIRM)
    trail.note("notice-endpoints.create", endpoint_id, **build_facts(endpoint))
    return endpoint


async def update_endpoint(
    database: Transactions,
    settings: Settings,
    endpoint_id: str,
    changes: EndpointChanges,
    *,
    actor: Actor,
    check: EndpointCheck = accept,
) -> Endpoint:
    """Change an endpoint. `check` may refuse it as it was. Raises NotFoundError, InvalidInputError.

    A mailbox keeps its address, because that is what was confirmed.
    """
    async with database.transaction() as connection:
        before = await table.lock_endpoint(connection, endpoint_id)
        check(before)
        await table.update_endpoint(connection, _apply(before, changes, settings))
        if changes.is_enabled is True:
            await table.enable_endpoint(connection, endpoint_id)
        elif changes.is_enabled is False:
            await table.disable_endpoint(connection, endpoint_id, "asked")
        after = await table.load_endpoint(connection, endpoint_id)
        trail = Trail(actor)
        detail = {"before": build_facts(before), "after": build_facts(after)}
        trail.note("notice-endpoints.update", endpoint_id, **detail)
        if before.disabled_at is None and after.disabled_at is not None:
            # Whoever silences an endpoint does not do so unnoticed: the others are told.
            trail.note("notice-endpoints.disable", endpoint_id, reason="asked")
        await trail.append(connection)
    return after


async def delete_endpoint(
    database: Transactions, endpoint_id: str, *, actor: Actor, check: EndpointCheck = accept
) -> None:
    """Delete an endpoint; what waits for it is not sent. Raises NotFoundError."""
    async with database.transaction() as connection:
        before = await table.lock_endpoint(connection, endpoint_id)
        check(before)
        await table.delete_endpoint(connection, endpoint_id)
        await record(
            connection, actor, "notice-endpoints.delete", endpoint_id, **build_facts(before)
        )


async def rotate_secret(
    database: Transactions,
    master_key: MasterKey,
    endpoint_id: str,
    *,
    grace: timedelta,
    actor: Actor,
    check: EndpointCheck = accept,
) -> NewEndpoint:
    """Make a new secret; for `grace` both sign.

    Raises NotFoundError, and ConflictError for a mailbox.
    """
    async with database.transaction() as connection:
        before = await table.lock_endpoint(connection, endpoint_id)
        check(before)
        if before.kind == "mail":
            raise ConflictError("a mailbox has no secret: mail is not signed")
        secret = new_secret()
        sealed = _seal(secret, endpoint_id, master_key)
        await table.set_secret(connection, endpoint_id, sealed, grace)
        after = await table.load_endpoint(connection, endpoint_id)
        seconds = int(grace.total_seconds())
        await record(
            connection, actor, "notice-endpoints.rotate-secret", endpoint_id, grace_seconds=seconds
        )
    return NewEndpoint(after, secret)


async def send_test(
    database: Transactions, endpoint_id: str, *, actor: Actor, check: EndpointCheck = accept
) -> Delivery:
    """Send a test to an endpoint, or once more the link that confirms a mailbox.

    Raises NotFoundError, and ConflictError if it is disabled or too many links were sent today.
    """
    async with database.transaction() as connection:
        endpoint = await table.lock_endpoint(connection, endpoint_id)
        check(endpoint)
        if endpoint.disabled_at is not None:
            raise ConflictError("this endpoint is disabled; enable it before you test it")
        name = TEST if endpoint.confirmed_at is not None else CONFIRM
        number = await _append_own_notice(connection, endpoint, name)
        delivery = await load_first_delivery(connection, number)
        await record(connection, actor, "notice-endpoints.test", endpoint_id)
    return delivery


async def _check_number(connection: Connection, account_id: str | None) -> None:
    if account_id is not None:
        # Two callers who add one at the same moment count one after the other.
        await lock_account(connection, account_id)
    present = await table.count_endpoints(connection, account_id)
    if present >= MOST_ENDPOINTS:
        raise ConflictError(f"there are {present} endpoints already; delete one first")


def check_mail_is_sent(settings: Settings, pointer: str) -> None:
    """Raise InvalidInputError, with a pointer to the field, if there is no mail server."""
    if settings.smtp_url is None:
        raise InvalidInputError(
            "this service sends no mail: TOKENSVC_SMTP_URL is not set", pointer=pointer
        )


def _parse_destination(url: str, settings: Settings) -> Destination:
    # Without TLS only networks of the operator are reached, which is judged by the address when
    # something is sent. If there are none, such a URL is refused here.
    destination = parse_destination(url, http_allowed=bool(settings.notice_networks))
    if destination.kind == "mail":
        check_mail_is_sent(settings, "/url")
    return destination


def _seal(secret: str, endpoint_id: str, master_key: MasterKey) -> bytes:
    return seal_text(secret, build_secret_context(endpoint_id), master_key)


async def _append_own_notice(connection: Connection, endpoint: Endpoint, name: OwnEventName) -> int:
    """Append what the endpoint alone is told; return the number. Raises ConflictError."""
    account_id = endpoint.account_id
    notice = NewNotice(
        name=name,
        subject=endpoint.id,
        account_id=account_id,
        detail={},
        endpoint_id=endpoint.id,
    )
    number = (await append_notices(connection, [notice]))[0]
    if name == CONFIRM and account_id is not None:
        # This one is counted too: all who append take turns until they commit.
        links = await table.count_links(connection, account_id)
        if links > MOST_LINKS:
            raise ConflictError(
                f"the mailboxes of an account are sent {MOST_LINKS} links a day, because nobody "
                "there has asked for them; try again tomorrow"
            )
    return number


def _apply(before: Endpoint, changes: EndpointChanges, settings: Settings) -> Endpoint:
    after = before
    if changes.url is not None and changes.url != before.url:
        destination = _parse_destination(changes.url, settings)
        if "mail" in {before.kind, destination.kind}:
            raise InvalidInputError(
                "a mailbox keeps its address, because that is what was confirmed; add another one",
                pointer="/url",
            )
        after = replace(after, url=destination.url)
    if changes.events is not None:
        wanted = parse_events(changes.events, of_account=before.account_id is not None)
        after = replace(after, events=tuple(wanted))
    if changes.description is not None:
        after = replace(after, description=changes.description)
    return after


def build_facts(endpoint: Endpoint) -> dict[str, object]:
    """Return what the audit trail keeps. A URL may hold a secret, and an address is personal."""
    destination = parse_destination(endpoint.url, http_allowed=True)
    return {
        "account": endpoint.account_id,
        "kind": destination.kind,
        "host": destination.host,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.disabled_at is None,
    }
