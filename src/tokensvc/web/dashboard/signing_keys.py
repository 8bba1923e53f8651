"""Signing keys: their time line, rotation, revocation, and what verifiers fetch."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import ADMINS, READERS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.ending import read_reason
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form
from tokensvc.web.dashboard.snippets import list_snippets
from tokensvc.web.dashboard.timeline import build_timeline, find_begin, find_end
from tokensvc.web.well_known import build_jwks_answer, build_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.settings import Settings
    from tokensvc.web.dashboard.page import Visit

_REASONS: Final = ("Leaked or suspected", "No longer needed", "Other")
_PUBLISHED: Final = ("pending", "active", "retiring")
_MOST_KEYS: Final = 1000
_EVENTS: Final = 8
_LETTERS_TO_TYPE: Final = 6


async def show_signing_keys(visit: Visit) -> View | Redirect:
    """Show the keys on a time line, and what can be done with each."""
    settings = _settings(visit)
    period = timedelta(seconds=settings.rotation_period)
    keys = await _list_keys(visit)
    published = [key for key in keys if key.phase in _PUBLISHED]
    signer = _find(keys, DEFAULT_ALGORITHM, "active")
    rows = keys if visit.query.get("show") == "all" else published
    return View(
        {
            "keys": rows,
            "begins": {key.kid: find_begin(key, keys, period) for key in rows},
            "published": published,
            "archived": len(keys) - len(published),
            "line": build_timeline(published, visit.now, period),
            "signer": signer,
            "next_at": signer and find_end(signer, period),
            "is_exact": _is_exact(keys),
            "period": settings.rotation_period,
            "max_age": settings.jwks_max_age,
            "said": visit.query.get("said"),
            "said_kid": visit.query.get("kid", ""),
        }
    )


async def show_signing_key(visit: Visit) -> View | Redirect:
    """Show one key: its moments, its public half, its history."""
    public = await visit.run("signing-keys.show", kid=visit.path["kid"])
    events = await visit.run("audit-events.list", subject=public.kid, limit=_EVENTS)
    keys = await _list_keys(visit)
    return View(
        {
            "key": next(key for key in keys if key.kid == public.kid),
            "is_exact": _is_exact(keys),
            "jwk": json.dumps(public.jwk, indent=2),
            "pem": public.pem,
            "events": events.items,
            "names": await find_names(visit, [event.actor for event in events.items]),
        }
    )


async def show_rotate(visit: Visit) -> View | Redirect:
    """Say what a rotation does, and from when on it is safe."""
    keys = await _list_keys(visit)
    algs = sorted({key.alg for key in keys if key.phase in _PUBLISHED}) or [DEFAULT_ALGORITHM]
    wanted = visit.typed.value("alg") or visit.query.get("alg", DEFAULT_ALGORITHM)
    alg = wanted if wanted in algs else algs[0]
    standby = _find_standby(keys, alg)
    return View(
        {
            "algs": algs,
            "alg": alg,
            "signer": _find(keys, alg, "active"),
            "standby": standby,
            "is_ready": standby is not None and standby.safe_to_activate_at <= visit.now,
            "when": visit.typed.value("when") or visit.query.get("when", "soon"),
            "lead": _find_lead(_settings(visit)),
        }
    )


async def rotate(visit: Visit) -> View | Redirect:
    """Let the next key take over: when it is safe, at once, or at once whatever follows."""
    when = visit.typed.value("when")
    done = await visit.submit(
        "signing-keys.rotate",
        without=("now", "force"),
        now=when in {"now", "force"},
        force=when == "force",
    )
    if done.kid is None and not done.new_standby:
        return Redirect("/signing-keys?said=other")
    return Redirect(f"/signing-keys?said=rotated&kid={done.kid or ''}")


async def show_revoke(visit: Visit) -> View | Redirect:
    """Say what the revocation of a signing key does, before it is done."""
    key, keys = await _load_key(visit), await _list_keys(visit)
    settings = _settings(visit)
    return View(
        {
            "key": key,
            "successor": _find_standby(keys, key.alg) if key.phase == "active" else None,
            "is_exact": _is_exact(keys),
            "must_type": _must_type(key),
            "reasons": _REASONS,
            "cached": max(settings.jwks_max_age, settings.verifier_cache),
        }
    )


async def revoke(visit: Visit) -> View | Redirect:
    """Revoke a signing key; its successor takes over in the same transaction."""
    key = await _load_key(visit)
    if visit.typed.value("typed").strip() != _must_type(key):
        raise InvalidInputError("type the last letters of the key id", pointer="/typed")
    await visit.submit("signing-keys.revoke", kid=key.kid, reason=read_reason(visit))
    return Redirect(f"/signing-keys?said=revoked&kid={key.kid}")


async def show_jwks(visit: Visit) -> View | Redirect:
    """Show the JWKS as verifiers get it, and how they are set up."""
    service = visit.request.app[SERVICE]
    answer = build_jwks_answer(service)
    body = service.mirror.signers.jwks.decode("utf-8")
    metadata = build_metadata(service.settings)
    audiences = await visit.run("audiences.list", limit=1)
    audience = audiences.items[0].name if audiences.items else service.settings.default_audience
    return View(
        {
            "body": body,
            "headers": list(answer.headers.items()),
            "keys": json.loads(body)["keys"],
            "addresses": [
                ("issuer", "Issuer", metadata["issuer"]),
                ("jwks-address", "JWKS", metadata["jwks_uri"]),
                ("feed", "Feed of the denylist", metadata["tokensvc_denylist_endpoint"]),
            ],
            "snippets": list_snippets(service.settings.issuer_url, audience),
        }
    )


async def _list_keys(visit: Visit) -> list[Any]:
    """Return all signing keys, those of one algorithm together, the signer first."""
    order = {"active": 0, "pending": 1, "retiring": 2, "expired": 3, "revoked": 4}
    found = (await visit.run("signing-keys.list", limit=_MOST_KEYS)).items
    return sorted(
        found,
        key=lambda key: (
            key.alg != DEFAULT_ALGORITHM, key.alg, order[key.phase], -key.created_at.timestamp()
        ),
    )  # fmt: skip


async def _load_key(visit: Visit) -> Any:  # noqa: ANN401 - a model of the operations
    """Return the key of the path. Raises NotFoundError."""
    public = await visit.run("signing-keys.show", kid=visit.path["kid"])
    return next(key for key in await _list_keys(visit) if key.kid == public.kid)


def _find(keys: Sequence[Any], alg: str, phase: str) -> Any:  # noqa: ANN401
    return next((key for key in keys if key.alg == alg and key.phase == phase), None)


def _find_standby(keys: Sequence[Any], alg: str) -> Any:  # noqa: ANN401
    """Return the key that signs next: the one that is planned first, else the oldest."""
    waiting = [key for key in keys if key.alg == alg and key.phase == "pending"]
    return min(
        waiting,
        key=lambda key: (key.active_at is None, key.active_at or key.created_at, key.kid),
        default=None,
    )


def _is_exact(keys: Sequence[Any]) -> bool:
    """Tell whether only one algorithm signs, so that every token is signed with it."""
    return len({key.alg for key in keys if key.phase in _PUBLISHED}) == 1


def _must_type(key: Any) -> str:  # noqa: ANN401 - a model of the operations
    return str(key.kid)[-_LETTERS_TO_TYPE:]


def _find_lead(settings: Settings) -> int:
    """Return for how many seconds a key is published before it signs."""
    return settings.jwks_max_age + settings.verifier_cache + settings.rotation_margin


def _settings(visit: Visit) -> Settings:
    return visit.request.app[SERVICE].settings


PAGES: Final = (
    Page(
        path="/signing-keys",
        act=show_signing_keys,
        template="signing_keys/list.html",
        needs=READERS,
    ),
    Page(
        path="/signing-keys/jwks", act=show_jwks, template="signing_keys/jwks.html", needs=READERS
    ),
    *build_form(
        "/signing-keys/rotate",
        show=show_rotate,
        act=rotate,
        template="signing_keys/rotate.html",
        needs=ADMINS,
    ),
    Page(
        path="/signing-keys/{kid}",
        act=show_signing_key,
        template="signing_keys/one.html",
        needs=READERS,
    ),
    *build_form(
        "/signing-keys/{kid}/revoke",
        show=show_revoke,
        act=revoke,
        template="signing_keys/revoke.html",
        needs=ADMINS,
    ),
)
