"""One handler for all pages: who asks, whether they may, what they sent, what they get."""

from __future__ import annotations

import time
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core.actor import Actor
from tokensvc.core.errors import (
    ConflictError,
    ForbiddenError,
    InsufficientAuthenticationError,
    InsufficientScopeError,
    InvalidClientError,
    InvalidInputError,
    InvalidTokenError,
    MissingTokenError,
    RateLimitedError,
    TokensvcError,
    UnavailableError,
    VersionConflictError,
)
from tokensvc.issuer.operations.call_limit import count_call
from tokensvc.issuer.sign_in import build_principal
from tokensvc.logs.logger import get_logger
from tokensvc.operations.rights import Principal
from tokensvc.web.app_keys import REFUSALS, REQUEST_ID, SERVICE
from tokensvc.web.client_address import find_client_place
from tokensvc.web.dashboard.cookies import find_token
from tokensvc.web.dashboard.forms import Typed, read_form
from tokensvc.web.dashboard.guard import LOCK, build_headers, check_lock, check_same_origin
from tokensvc.web.dashboard.navigation import count_entries, find_own_name
from tokensvc.web.dashboard.page import File, Page, Redirect, View, Visit
from tokensvc.web.dashboard.refused import build_refusal, find_retry, find_status
from tokensvc.web.dashboard.rendering import render
from tokensvc.web.dashboard.signing_in import PROOF, ask_for_key, show_key
from tokensvc.web.middleware import note
from tokensvc.web.problems import NO_STORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.typedefs import Handler

    from tokensvc.core.claims import Claims
    from tokensvc.web.dashboard.page import Form

# What a person can mend in the form, which is shown again.
_MENDABLE: Final = (
    InvalidInputError, ConflictError, ForbiddenError, VersionConflictError, InvalidClientError,
    RateLimitedError,
)  # fmt: skip
_SIGNED_OUT: Final = (InvalidTokenError, MissingTokenError)
_COMPRESSED_FROM: Final = 2048  # bytes

_log = get_logger(__name__)


def build_handler(page: Page, pages: Sequence[Page], base: str) -> Handler:
    """Return what answers the requests for a page. `base`: the path of the dashboard outside."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asked_on = time.monotonic()
        visit = _begin(request, base)
        result = await _answer(visit, page)
        if isinstance(result, View) and _has_sidebar(visit, result):
            visit.counts, visit.own_name = await count_entries(visit), await find_own_name(visit)
        response = _build_response(visit, page, pages, result)
        for act in visit.after:
            act(response)
        try:
            await _hold_refusal(visit, response, asked_on)
        except UnavailableError as full:
            # A refusal that came at once would tell what its delay hides.
            response = _build_response(visit, page, pages, _refuse(visit, full))
        return response

    return handle


def _has_sidebar(visit: Visit, view: View) -> bool:
    is_whole = view.fragment is None or not visit.wants_fragment
    return is_whole and visit.claims is not None and view.status < HTTPStatus.INTERNAL_SERVER_ERROR


def _begin(request: web.Request, base: str) -> Visit:
    service = request.app[SERVICE]
    place = find_client_place(request, service.settings.trusted_proxy_hops)
    actor = Actor(name="visitor", address=place.address, request_id=request[REQUEST_ID])
    return Visit(
        request=request,
        base=base,
        principal=Principal(actor=actor, capabilities=frozenset()),
        now=service.mirror.postgres_clock.now,
        path=request.match_info,
    )


async def _answer(visit: Visit, page: Page) -> View | Redirect | File:
    """Return what a page answers, or what its refusal becomes."""
    is_admitted = False
    try:
        await _admit(visit, page)
        is_admitted = True
        return await page.act(visit)
    except TokensvcError as error:
        _note_error(visit, error)
        # A key that is refused before the page acts is that of the sign-in; one that is refused
        # later was typed for the act itself.
        is_key_refused = isinstance(error, InvalidClientError) and not is_admitted
        if is_key_refused or isinstance(error, (*_SIGNED_OUT, InsufficientAuthenticationError)):
            return ask_for_key(visit)
        if is_admitted and page.again is not None and isinstance(error, _MENDABLE):
            return await _show_again(visit, page.again, error)
        return build_refusal(visit, error)
    except web.HTTPException as error:
        return build_refusal(visit, error)
    except Exception as error:  # noqa: BLE001 - a fault of ours gets a page too
        _log.exception("request_failed", request_id=visit.request[REQUEST_ID], exc_info=error)
        return build_refusal(visit, error)


def _note_error(visit: Visit, error: TokensvcError) -> None:
    note(visit.request, reason=error.reason)
    visit.typed = replace(visit.typed, error=error)


def _refuse(visit: Visit, error: TokensvcError) -> View:
    _note_error(visit, error)
    return build_refusal(visit, error)


async def _admit(visit: Visit, page: Page) -> None:
    """Raise a TokensvcError unless the request may have what the page shows or does."""
    if page.method == "POST":
        # What another site sends is not even read. The form is read before the sign-in is looked
        # for, because it may hold the key.
        check_same_origin(visit.request)
        visit.typed = Typed(await read_form(visit.request))
    if page.is_open:
        return
    claims = await _find_sign_in(visit, page)
    visit.claims = claims
    visit.principal = build_principal(claims, visit.principal.actor)
    note(visit.request, caller=claims.client_id)
    if not page.is_for(visit.principal):
        raise InsufficientScopeError(page.needs[-1], one_of=page.needs)
    # A page counts as one call, however many operations it needs.
    await count_call(visit.backend, claims.client_id)


async def _find_sign_in(visit: Visit, page: Page) -> Claims:
    """Return the token of the sign-in. Raises MissingTokenError, InvalidTokenError.

    A form may show the key again: for an act that wants it, or because the sign-in has ended.
    """
    if page.method == "POST" and PROOF in visit.typed.form:
        return await show_key(visit, visit.typed.form[PROOF])
    text = find_token(visit.request)
    if text is None:
        raise MissingTokenError
    sign_in = visit.request.app[SERVICE].sign_in
    # An act must know of a revocation at once; for showing a page the copy in memory will do.
    claims = await sign_in.check(text, in_postgres=page.method == "POST")
    if page.method == "POST":
        check_lock(visit.request, claims, visit.place, visit.typed.form.get(LOCK, ""))
    return claims


async def _show_again(visit: Visit, again: Form, error: TokensvcError) -> View | Redirect:
    """Show the form again with what was typed, and what is wrong with it."""
    try:
        view = await again(visit)
    except TokensvcError as second:
        return build_refusal(visit, second)
    return replace(view, status=find_status(error)) if isinstance(view, View) else view


def _build_response(
    visit: Visit, page: Page, pages: Sequence[Page], result: View | Redirect | File
) -> web.Response:
    headers = build_headers(visit.request.app[SERVICE].settings) | NO_STORE
    if isinstance(result, Redirect):
        headers["Location"] = visit.base + result.path
        return web.Response(status=HTTPStatus.SEE_OTHER, headers=headers)
    if isinstance(result, File):
        headers["Content-Disposition"] = f'attachment; filename="{result.name}"'
        return web.Response(
            text=result.text, headers=headers, content_type=result.content_type, charset="utf-8"
        )
    template = result.template or page.template
    if visit.wants_fragment and result.fragment is not None:
        template = result.fragment
    if template is None:
        raise RuntimeError(f"the page {page.path} has no template")
    headers |= find_retry(visit.typed.error)
    text = render(visit, template, result.values, pages)
    response = web.Response(
        text=text, status=result.status, headers=headers, content_type="text/html"
    )
    # A secret must not be compressed together with what somebody else may have chosen.
    takes_gzip = "gzip" in visit.request.headers.get("Accept-Encoding", "")
    if takes_gzip and len(text) > _COMPRESSED_FROM and not page.has_secret:
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def _hold_refusal(visit: Visit, response: web.Response, asked_on: float) -> None:
    """Let a network that is refused again and again wait for its refusals, as everywhere else.

    Raises UnavailableError if too many wait already.
    """
    if HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        app, error = visit.request.app, visit.typed.error
        network = find_client_place(visit.request, app[SERVICE].settings.trusted_proxy_hops).network
        is_silent = response.status == HTTPStatus.UNAUTHORIZED
        is_late = error is not None and error.is_late
        held = app[REFUSALS].hold(network, asked_on, is_silent=is_silent, is_late=is_late)
        if held is not None:
            await held
