"""Operations on accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.admin import accounts
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.revoking import endings
from tokensvc.operations.accounts import Account, DeletedAccount
from tokensvc.store.account import no_such_account

if TYPE_CHECKING:
    from tokensvc.core.account import Account as AccountRecord
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.accounts import AccountRequest, CreateAccount, EndAccount


def build_account(account: AccountRecord) -> Account:
    """Return an account as callers see it."""
    return Account(
        id=account.id,
        name=account.name,
        state=account.state,
        created_at=account.created_at,
        suspended_at=account.suspended_at,
        tier=account.limits.tier or "default",
        per_minute=account.minute_limit,
        per_day=account.day_limit,
        own_per_minute=account.limits.per_minute,
        own_per_day=account.limits.per_day,
    )


async def create(call: Call, request: CreateAccount) -> Account:
    """Create an account."""
    raise NotImplementedError


async def show(call: Call, request: AccountRequest) -> Account:
    """Show one account."""
    check_visible(call.principal.key_reader_of, request.id, no_such_account(request.id))
    return build_account(await accounts.load_account(call.database, request.id))


async def suspend(call: Call, request: EndAccount) -> Account:
    """Suspend an account."""
    raise NotImplementedError


async def delete(call: Call, request: AccountRequest) -> DeletedAccount:
    """Delete an account."""
    await endings.delete_account(call.database, request.id, actor=call.principal.name)
    return DeletedAccount(id=request.id)
