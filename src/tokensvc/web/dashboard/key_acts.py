"""What ends a key, for a while or for good, and what makes its successor."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.ending import (
    HOUR,
    estimate_live,
    find_seq,
    look_at_followers,
    read_seq,
)
from tokensvc.web.dashboard.live import wait_for_news
from tokensvc.web.dashboard.new_key import show_once
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_REASONS: Final = ("Leaked or suspected", "No longer needed", "Owner left", "Other")
_GRACES: Final = (
    ("0", "Now"),
    ("3600", "1 h"),
    ("86400", "24 h"),
    ("604800", "7 d"),
    ("2592000", "30 d"),
)
_IN_USE_SECONDS: Final = 86_400


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
        idempotency_key=visit.typed.value("idempotency_key") or None,
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


async def show_revoke(visit: Visit) -> View | Redirect:
    """Say what a revocation will do, before it is done."""
    key = await visit.run("keys.show", id=visit.path["id"])
    life = visit.request.app[SERVICE].settings.max_token_ttl
    # A live token was given out within the longest life; use is counted by the hour.
    usage = await visit.run("usage.show", key=key.id, since=life + HOUR)
    return View(
        {
            "key": key,
            "reasons": _REASONS,
            "must_type": _must_type(visit, key),
            "about_live": estimate_live(
                usage.hours, usage.until, visit.request.app[SERVICE].settings.token_ttl
            ),
        },
        fragment="keys/revoke_dialog.html",
    )


async def revoke_key(visit: Visit) -> View | Redirect:
    """Revoke a key for good, and show how the revocation travels."""
    key = await visit.run("keys.show", id=visit.path["id"])
    # Checked here as well: a script holds the button back, and a form can be sent without it.
    if _must_type(visit, key) and visit.typed.value("typed").strip() != key.name:
        raise InvalidInputError("type the name of the key as it stands there", pointer="/typed")
    reason = visit.typed.value("reason")
    note = visit.typed.value("note").strip()
    said = ": ".join(part for part in (reason, note) if part)
    await visit.submit("keys.revoke", id=key.id, reason=said)
    if not visit.may("revocations.watch"):
        return Redirect(f"/keys/{key.id}?said=revoked")
    return Redirect(f"/keys/{key.id}/revoked?seq={await find_seq(visit)}")


async def show_revoked(visit: Visit) -> View | Redirect:
    """Show which followers have applied the revocation, until all of them have."""
    key = await visit.run("keys.show", id=visit.path["id"])
    seq = read_seq(visit)

    async def look() -> dict[str, Any]:
        return await look_at_followers(visit, seq)

    values = await wait_for_news(visit, look)
    return View({**values, "key": key, "seq": seq}, fragment="keys/progress.html")


def _must_type(visit: Visit, key: Any) -> bool:  # noqa: ANN401 - a model of the operations
    """Tell whether the name must be typed: somebody has used the key in the last day."""
    last = key.last_used_at
    return last is not None and (visit.now - last).total_seconds() < _IN_USE_SECONDS


PAGES: Final = (
    Page(path="/keys/{id}/rotate", act=show_rotate, template="keys/rotate.html", needs=KEY_OWNERS),
    Page(
        path="/keys/{id}/rotate",
        method="POST",
        act=rotate_key,
        again=show_rotate,
        template="keys/rotate.html",
        needs=KEY_OWNERS,
        has_secret=True,
    ),
    Page(path="/keys/{id}/disable", method="POST", act=disable_key, needs=KEY_OWNERS),
    Page(path="/keys/{id}/enable", method="POST", act=enable_key, needs=KEY_OWNERS),
    Page(path="/keys/{id}/revoke", act=show_revoke, template="keys/revoke.html", needs=KEY_OWNERS),
    Page(
        path="/keys/{id}/revoke",
        method="POST",
        act=revoke_key,
        again=show_revoke,
        template="keys/revoke.html",
        needs=KEY_OWNERS,
    ),
    Page(
        path="/keys/{id}/revoked", act=show_revoked, template="keys/revoked.html", needs=KEY_READERS
    ),
)
