"""What makes the successor of a key, and what stops a key for a while."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from tokensvc.operations.operation import KEY_OWNERS
from tokensvc.web.dashboard.new_key import show_once
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_GRACES: Final = (
    ("0", "Now"),
    ("3600", "1 h"),
    ("86400", "24 h"),
    ("604800", "7 d"),
    ("2592000", "30 d"),
)


async def show_rotate(visit: Visit) -> View | Redirect:
    """Ask how long the old key still works."""
    key = await visit.run("keys.show", id=visit.path["id"])
    return View(
        {"key": key, "graces": _GRACES, "idempotency_key": secrets.token_urlsafe(24)},
        fragment="keys/rotate_dialog.html",
    )


async def rotate_key(visit: Visit) -> View | Redirect:
    """Make a successor, and show it. A second click makes no second one."""
    made = await visit.submit(
        "keys.rotate",
        id=visit.path["id"],
    )
    return show_once(visit, made)


async def disable_key(visit: Visit) -> View | Redirect:
    """Disable a key."""
    await visit.submit("keys.disable", id=visit.path["id"], reason="")
    return Redirect(f"/keys/{visit.path['id']}?said=disabled")


async def enable_key(visit: Visit) -> View | Redirect:
    """Enable a key."""
    await visit.submit("keys.enable", id=visit.path["id"])
    return Redirect(f"/keys/{visit.path['id']}?said=enabled")


PAGES: Final = (
    *build_form(
        "/keys/{id}/rotate",
        show=show_rotate,
        act=rotate_key,
        template="keys/rotate.html",
        needs=KEY_OWNERS,
        has_secret=True,
    ),
    Page(path="/keys/{id}/disable", method="POST", act=disable_key, needs=KEY_OWNERS),
    Page(path="/keys/{id}/enable", method="POST", act=enable_key, needs=KEY_OWNERS),
)
