"""Operations on accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from tokensvc.core.limit import DEFAULT_TIER, LimitChanges
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.notices.endpoints import check_mail_is_sent
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.counting import count_keys
from tokensvc.issuer.operations.limits import build_limit_changes
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.issuer.operations.usage import build_hours, build_window
from tokensvc.issuer.revoking.endings import end_account
from tokensvc.operations.accounts import Account, AccountUsage, DeletedAccount
from tokensvc.operations.model import ListPage
from tokensvc.store import account as table
from tokensvc.store.not_found import no_such_account
from tokensvc.store.quota import load_account_windows
from tokensvc.store.usage import list_usage_of_all

if TYPE_CHECKING:
    from tokensvc.core.account import Account as Record
    from tokensvc.core.denylist.record import Ending
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.accounts import (
        AccountRequest,
        AccountUsageRequest,
        CreateAccount,
        EndAccount,
        ListAccounts,
        SetContact,
        UpdateAccount,
    )


def build_account(account: Record) -> Account:
    """Return an account as callers see it."""
    contact = account.contact
    return Account(
        id=account.id,
        name=account.name,
        state=account.state,
        created_at=account.created_at,
        suspended_at=account.suspended_at,
        tier=account.limits.tier or DEFAULT_TIER,
        per_minute=account.minute_limit,
        per_day=account.day_limit,
        own_per_minute=account.limits.per_minute,
        own_per_day=account.limits.per_day,
        contact=None if contact is None else contact.address,
        contact_confirmed_at=None if contact is None else contact.confirmed_at,
        contact_endpoint=None if contact is None else contact.endpoint_id,
    )


async def create(call: Call, request: CreateAccount) -> Account:
    """Create an account."""
    limits = LimitChanges(tier=request.tier, per_minute=request.per_minute, per_day=request.per_day)
    contact = _read_contact(call, request)
    made = await accounts.create_account(
        call.changes, request.name, limits=limits, contact=contact, actor=call.actor
    )
    return build_account(made)


async def list_(call: Call, request: ListAccounts) -> ListPage[Account]:
    """List accounts."""
    wanted = table.AccountFilter(
        id=call.principal.key_reader_of,
        id_prefix=request.id_prefix,
        part=request.name,
        state=request.state,
        created_before=request.created_before,
        sort=request.sort,
    )
    async with call.reading() as connection:
        found, end = await table.list_account_page(connection, wanted, read_wish(request))
    items = [build_account(account) for account in found]
    return ListPage[Account](items=items, next_cursor=build_next_cursor(request, end))


async def show(call: Call, request: AccountRequest) -> Account:
    """Show one account."""
    missing = no_such_account(request.id)
    check_visible(call.principal.key_reader_of, request.id, missing)
    async with call.reading() as connection:
        return build_account(await table.load_account(connection, request.id))


async def show_usage(call: Call, request: AccountUsageRequest) -> AccountUsage:
    """Show the use of an account."""
    check_visible(call.principal.key_reader_of, request.id, no_such_account(request.id))
    # The windows first: their moment is the one that everything else is told of.
    async with call.reading() as connection:
        windows = await load_account_windows(connection, request.id)
        since = windows.at - timedelta(seconds=request.since)
        counts = await list_usage_of_all(connection, request.id, since)
    keys = await count_keys(call, request.id)
    return AccountUsage(
        id=request.id,
        minute=build_window(windows.minute),
        day=build_window(windows.day),
        hours=build_hours(counts),
        keys=keys.value,
        keys_counted_at=keys.at,
        since=since,
        until=windows.at,
    )


async def update(call: Call, request: UpdateAccount) -> Account:
    """Change an account."""
    changed = await accounts.update_account(
        call.changes,
        request.id,
        name=request.name,
        limits=build_limit_changes(request),
        contact=_read_contact(call, request) if "contact" in request.model_fields_set else None,
        actor=call.actor,
        check=_check(call),
    )
    return build_account(changed)


async def set_contact(call: Call, request: SetContact) -> Account:
    """Change the contact of an account."""
    check_visible(call.principal.key_owner_of, request.id, no_such_account(request.id))
    contact = _read_contact(call, request)
    changed = await accounts.set_contact(
        call.changes, request.id, contact, actor=call.actor, check=_check(call)
    )
    return build_account(changed)


async def suspend(call: Call, request: EndAccount) -> Account:
    """Suspend an account."""
    return await _end(call, "account_suspended", request)


async def resume(call: Call, request: AccountRequest) -> Account:
    """End a suspension."""
    resumed = await accounts.resume_account(
        call.changes, request.id, actor=call.actor, check=_check(call)
    )
    return build_account(resumed)


async def revoke_tokens(call: Call, request: EndAccount) -> Account:
    """Revoke all tokens that the keys of an account have got so far."""
    return await _end(call, "account_tokens_revoked", request)


async def delete(call: Call, request: AccountRequest) -> DeletedAccount:
    """Delete an account."""
    ended = await end_account(
        call.database,
        request.id,
        "account_deleted",
        actor=call.actor,
        check=_check(call) if call.if_match else None,
    )
    call.backend.remember(ended.records)
    return DeletedAccount(id=request.id)


async def _end(call: Call, ending: Ending, request: EndAccount) -> Account:
    ended = await end_account(
        call.database,
        request.id,
        ending,
        actor=call.actor,
        reason=request.reason,
        # To compare versions takes a transaction; without that it is one statement (decision 0019).
        check=_check(call) if call.if_match else None,
    )
    call.backend.remember(ended.records)
    return build_account(cast("Record", ended.account))


def _read_contact(call: Call, request: CreateAccount | UpdateAccount | SetContact) -> str:
    """Return the address that is wanted, "" for none."""
    if request.contact is not None:
        check_mail_is_sent(call.settings, "/contact")
    return request.contact or ""


def _check(call: Call) -> accounts.AccountCheck:
    return lambda account: call.check_version(build_account(account))
