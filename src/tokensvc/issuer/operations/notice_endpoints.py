"""Operations on endpoints of notices."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.issuer.notices import endpoints
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.notice_deliveries import build_delivery
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.operations.model import ListPage
from tokensvc.operations.notice_endpoints import (
    DeletedNoticeEndpoint,
    NewNoticeEndpoint,
    NoticeEndpoint,
)
from tokensvc.store import notice_endpoint as table
from tokensvc.store.not_found import no_such_account

if TYPE_CHECKING:
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.notice_deliveries import NoticeDelivery
    from tokensvc.operations.notice_endpoints import (
        CreateNoticeEndpoint,
        ListNoticeEndpoints,
        NoticeEndpointRequest,
        RotateNoticeSecret,
        UpdateNoticeEndpoint,
    )


def build_endpoint(endpoint: Endpoint) -> NoticeEndpoint:
    """Return an endpoint as callers see it."""
    return NoticeEndpoint(
        id=endpoint.id,
        account=endpoint.account_id,
        kind=endpoint.kind,
        url=endpoint.url,
        events=list(endpoint.events),
        description=endpoint.description,
        state=endpoint.state,
        created_at=endpoint.created_at,
        confirmed_at=endpoint.confirmed_at,
        disabled_at=endpoint.disabled_at,
        disabled_because=endpoint.disabled_because,
        failing_since=endpoint.failing_since,
        failures=endpoint.failures,
        old_secret_until=endpoint.old_secret_until,
    )


async def create(call: Call, request: CreateNoticeEndpoint) -> NewNoticeEndpoint:
    """Add an endpoint."""
    own = call.principal.key_owner_of
    account_id = request.account or own
    if account_id is not None:
        check_visible(own, account_id, no_such_account(account_id))
    made = await endpoints.create_endpoint(
        call.changes,
        call.settings,
        await load_master_key(call.database, call.settings),
        account_id=account_id,
        url=request.url,
        events=request.events,
        description=request.description,
        actor=call.actor,
    )
    return _build_new(made)


async def list_(call: Call, request: ListNoticeEndpoints) -> ListPage[NoticeEndpoint]:
    """List endpoints."""
    seen = call.principal.key_reader_of
    if request.account is not None:
        check_visible(seen, request.account, no_such_account(request.account))
    async with call.reading() as connection:
        found, end = await table.list_endpoint_page(
            connection, request.account or seen, read_wish(request)
        )
    items = [build_endpoint(endpoint) for endpoint in found]
    return ListPage[NoticeEndpoint](items=items, next_cursor=build_next_cursor(request, end))


async def show(call: Call, request: NoticeEndpointRequest) -> NoticeEndpoint:
    """Show one endpoint."""
    async with call.reading() as connection:
        endpoint = await table.load_endpoint(connection, request.id)
    _check_seen(call.principal.key_reader_of, endpoint)
    return build_endpoint(endpoint)


async def update(call: Call, request: UpdateNoticeEndpoint) -> NoticeEndpoint:
    """Change an endpoint."""
    changes = endpoints.EndpointChanges(
        url=request.url,
        events=request.events,
        description=request.description,
        is_enabled=request.enabled,
    )
    changed = await endpoints.update_endpoint(
        call.changes, call.settings, request.id, changes, actor=call.actor, check=_check(call)
    )
    return build_endpoint(changed)


async def rotate_secret(call: Call, request: RotateNoticeSecret) -> NewNoticeEndpoint:
    """Make a new secret."""
    made = await endpoints.rotate_secret(
        call.changes,
        await load_master_key(call.database, call.settings),
        request.id,
        grace=timedelta(seconds=request.grace),
        actor=call.actor,
        check=_check(call),
    )
    return _build_new(made)


async def test(call: Call, request: NoticeEndpointRequest) -> NoticeDelivery:
    """Send a test."""
    sent = await endpoints.send_test(
        call.changes,
        request.id,
        actor=call.actor,
        check=lambda endpoint: _check_seen(call.principal.key_owner_of, endpoint),
    )
    return build_delivery(sent)


async def delete(call: Call, request: NoticeEndpointRequest) -> DeletedNoticeEndpoint:
    """Remove an endpoint."""
    await endpoints.delete_endpoint(call.changes, request.id, actor=call.actor, check=_check(call))
    return DeletedNoticeEndpoint(id=request.id)


def _build_new(made: endpoints.NewEndpoint) -> NewNoticeEndpoint:
    return NewNoticeEndpoint(secret=made.secret, **dict(build_endpoint(made.endpoint)))


def _check_seen(seen: str | None, endpoint: Endpoint) -> None:
    """Raise NotFoundError for an endpoint of others, and of the service itself."""
    if seen is not None and endpoint.account_id != seen:
        raise table.no_such_endpoint(endpoint.id)


def _check(call: Call) -> endpoints.EndpointCheck:
    """Return the check of an endpoint whose row is locked: is it visible, is it as wanted."""

    def check(endpoint: Endpoint) -> None:
        _check_seen(call.principal.key_owner_of, endpoint)
        call.check_version(build_endpoint(endpoint))

    return check
