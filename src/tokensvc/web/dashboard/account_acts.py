"""What ends an account, for a while or for good, and what ends its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import ADMINS, READERS
from tokensvc.web.dashboard.ending import (
    Ended,
    estimate_live,
    find_horizon,
    follow_ending,
    show_ended,
)
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Act, Visit

_ENDINGS: Final = {
    "suspended": Ended("The account is suspended", "Its keys get no token until it is resumed."),
    "tokens": Ended("The tokens of the account are revoked", "Its keys get new tokens."),
    "deleted": Ended("The account is deleted", "Its keys get no token any more."),
}


async def show_confirm(visit: Visit) -> View | Redirect:
    """Say what an act will do to an account, before it is done."""
    account = await visit.run("accounts.show", id=visit.path["id"])
    usage = await visit.run("accounts.show-usage", id=account.id, since=find_horizon(visit))
    return View(
        {
            "account": account,
            "keys": usage.keys,
            "about_live": estimate_live(visit, usage.hours, usage.until),
            "is_own": visit.principal.account_id == account.id,
        }
    )


async def suspend_account(visit: Visit) -> View | Redirect:
    """Suspend an account, and show how the revocation travels."""
    await visit.submit("accounts.suspend", id=visit.path["id"])
    return await _follow(visit, "suspended")


async def revoke_tokens(visit: Visit) -> View | Redirect:
    """Revoke the tokens that all keys of an account have got so far."""
    await visit.submit("accounts.revoke-tokens", id=visit.path["id"])
    return await _follow(visit, "tokens")


async def delete_account(visit: Visit) -> View | Redirect:
    """Delete an account with its keys, if its name was typed."""
    account = await visit.run("accounts.show", id=visit.path["id"])
    if visit.typed.value("typed").strip() != account.name:
        raise InvalidInputError("type the name of the account as it stands there", pointer="/typed")
    await visit.submit("accounts.delete", id=account.id)
    return await _follow(visit, "deleted")


async def resume_account(visit: Visit) -> View | Redirect:
    """End a suspension."""
    await visit.submit("accounts.resume", id=visit.path["id"])
    return Redirect(f"/accounts/{visit.path['id']}?said=resumed")


async def show_account_ended(visit: Visit) -> View | Redirect:
    """Show which followers have applied what was ended, until all of them have."""
    return await show_ended(visit, ("/accounts", "Accounts"), _ENDINGS, "accounts.show")


async def _follow(visit: Visit, ending: str) -> Redirect:
    account_id = visit.path["id"]
    if visit.principal.account_id == account_id:
        # Whoever ends their own account is signed out by it.
        return Redirect("/accounts")
    return await follow_ending(visit, f"/accounts/{account_id}", ending)


def _build_pages(name: str, act: Act, template: str) -> tuple[Page, Page]:
    """Return the page that asks before an act, and the one that does it."""
    path = f"/accounts/{{id}}/{name}"
    return build_form(path, show=show_confirm, act=act, template=template, needs=ADMINS)


PAGES: Final = (
    *_build_pages("suspend", suspend_account, "accounts/suspend.html"),
    *_build_pages("revoke-tokens", revoke_tokens, "accounts/revoke_tokens.html"),
    *_build_pages("delete", delete_account, "accounts/delete.html"),
    Page(path="/accounts/{id}/resume", method="POST", act=resume_account, needs=ADMINS),
    Page(
        path="/accounts/{id}/ended",
        act=show_account_ended,
        template="endings/page.html",
        needs=READERS,
    ),
)
