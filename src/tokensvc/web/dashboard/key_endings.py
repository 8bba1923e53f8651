"""What ends a key for good, and what ends its tokens: a question, the act, and how it travels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS, READERS
from tokensvc.web.dashboard.ending import (
    Ended,
    estimate_live,
    find_horizon,
    follow_ending,
    read_reason,
    show_ended,
)
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Act, Form, Visit

_REASONS: Final = ("Leaked or suspected", "No longer needed", "Owner left", "Other")
_IN_USE_SECONDS: Final = 86_400
_GONE: Final = "The key gets no token any more."
_ENDINGS: Final = {
    "revoked": Ended("The key is revoked", _GONE),
    "tokens": Ended("The tokens of the key are revoked", "The key gets new tokens."),
    "deleted": Ended("The key is deleted", _GONE),
}


async def show_confirm(visit: Visit) -> View:
    """Say what an act will do to a key, before it is done."""
    key = await visit.run("keys.show", id=visit.path["id"])
    usage = await visit.run("usage.show", key=key.id, since=find_horizon(visit))
    return View(
        {
            "key": key,
            "reasons": _REASONS,
            "must_type": _must_type(visit, key),
            "about_live": estimate_live(visit, usage.hours, usage.until),
            "is_own": visit.principal.key_id == key.id,
        }
    )


async def show_revoke(visit: Visit) -> View:
    """Say what a revocation will do; in a dialog, where there are scripts."""
    return replace(await show_confirm(visit), fragment="keys/revoke_dialog.html")


async def revoke_key(visit: Visit) -> View | Redirect:
    """Revoke a key for good, and show how the revocation travels."""
    await _check_typed(visit)
    await visit.submit("keys.revoke", id=visit.path["id"], reason=read_reason(visit))
    return await _follow(visit, "revoked")


async def revoke_tokens(visit: Visit) -> View | Redirect:
    """Revoke the tokens that a key has got so far."""
    await visit.submit("keys.revoke-tokens", id=visit.path["id"])
    return await _follow(visit, "tokens")


async def delete_key(visit: Visit) -> View | Redirect:
    """Revoke a key and remove it from all lists."""
    await _check_typed(visit)
    await visit.submit("keys.delete", id=visit.path["id"])
    return await _follow(visit, "deleted")


async def show_key_ended(visit: Visit) -> View:
    """Show which followers have applied what was ended, until all of them have."""
    return await show_ended(visit, ("/keys", "Keys"), _ENDINGS, "keys.show")


async def _follow(visit: Visit, ending: str) -> Redirect:
    key_id = visit.path["id"]
    if visit.principal.key_id == key_id or not visit.may("revocations.watch"):
        # Whoever ends the key that they are signed in with is signed out by it.
        return Redirect(f"{'/keys' if ending == 'deleted' else f'/keys/{key_id}'}?said={ending}")
    return await follow_ending(visit, f"/keys/{key_id}", ending)


async def _check_typed(visit: Visit) -> None:
    """Raise InvalidInputError unless the name of a key in use was typed.

    A script holds the button back, and a form can be sent without it.
    """
    key = await visit.run("keys.show", id=visit.path["id"])
    if _must_type(visit, key) and visit.typed.value("typed").strip() != key.name:
        raise InvalidInputError("type the name of the key as it stands there", pointer="/typed")


def _must_type(visit: Visit, key: Any) -> bool:  # noqa: ANN401 - a model of the operations
    """Tell whether the name must be typed: somebody has used the key in the last day."""
    last = key.last_used_at
    return last is not None and (visit.now - last).total_seconds() < _IN_USE_SECONDS


def _build_pages(
    name: str, act: Act, template: str, show: Form = show_confirm
) -> tuple[Page, Page]:
    """Return the page that asks before an act, and the one that does it."""
    path = f"/keys/{{id}}/{name}"
    return build_form(path, show=show, act=act, template=template, needs=KEY_OWNERS)


PAGES: Final = (
    *_build_pages("revoke", revoke_key, "keys/revoke.html", show_revoke),
    *_build_pages("revoke-tokens", revoke_tokens, "keys/revoke_tokens.html"),
    *_build_pages("delete", delete_key, "keys/delete.html"),
    Page(path="/keys/{id}/ended", act=show_key_ended, template="endings/page.html", needs=READERS),
)
