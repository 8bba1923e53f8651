"""Making an account, and changing its name and its limits."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from tokensvc.operations.operation import ADMINS
from tokensvc.web.dashboard.page import Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_MOST_TIERS: Final = 500


async def show_new_account(visit: Visit) -> View | Redirect:
    """Show the form."""
    return View(
        {
            "account": None,
            "tiers": await _load_tiers(visit),
            "idempotency_key": secrets.token_urlsafe(24),
        }
    )


async def create_account(visit: Visit) -> View | Redirect:
    """Make the account; a second click makes no second one."""
    made = await visit.submit("accounts.create")
    return Redirect(f"/accounts/{made.id}?said=made")


async def show_edit(visit: Visit) -> View | Redirect:
    """Show the form that changes an account."""
    account = await visit.run("accounts.show", id=visit.path["id"])
    return View({"account": account, "tiers": await _load_tiers(visit)})


async def edit_account(visit: Visit) -> View | Redirect:
    """Change an account."""
    account_id = visit.path["id"]
    await visit.submit("accounts.update", id=account_id)
    return Redirect(f"/accounts/{account_id}?said=changed")


async def _load_tiers(visit: Visit) -> list[Any]:
    return list((await visit.run("tiers.list", limit=_MOST_TIERS)).items)


PAGES: Final = (
    *build_form(
        "/accounts/new",
        show=show_new_account,
        act=create_account,
        template="accounts/new.html",
        needs=ADMINS,
    ),
    *build_form(
        "/accounts/{id}/edit",
        show=show_edit,
        act=edit_account,
        template="accounts/edit.html",
        needs=ADMINS,
    ),
)
