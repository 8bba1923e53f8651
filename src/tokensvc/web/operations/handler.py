"""One handler for all operations: read the request, carry the operation out, answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from aiohttp import web

from tokensvc.core.errors import ChangeUnknownError, OutcomeUnknownError, TokensvcError
from tokensvc.issuer.operations.call_limit import count_call
from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.table import find_thing_path
from tokensvc.web.app_keys import REQUEST_ID, SERVICE, STRANGERS
from tokensvc.web.client_address import find_client_place
from tokensvc.web.middleware import note
from tokensvc.web.operations.body import read_object
from tokensvc.web.operations.credential import find_principal
from tokensvc.web.operations.headers import (
    build_etag,
    build_lifetime,
    build_limit,
    list_header_faults,
    matches_copy,
    parse_idempotency_key,
    parse_if_match,
)
from tokensvc.web.operations.reading import build_request, place_fault
from tokensvc.web.operations.strangers import build_stranger
from tokensvc.web.problems import NO_STORE

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from tokensvc.core.limit import LimitStatus
    from tokensvc.issuer.operations.run import Result
    from tokensvc.operations.model import Model
    from tokensvc.operations.operation import Operation
    from tokensvc.operations.rights import Principal

_JSON: Final = "application/json"


def build_handler(operation: Operation) -> Handler:
    """Return what answers the requests of an operation."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await _answer(request, operation)
        except TokensvcError as error:
            faults = [*error.faults, *list_header_faults(error)]
            error.faults = tuple(place_fault(operation, fault) for fault in faults)
            raise

    return handle


async def _answer(request: web.Request, operation: Operation) -> web.Response:
    note(request, operation=operation.name)
    if operation.is_open:
        return await _answer_stranger(request, operation)
    principal = await find_principal(request)
    calls = None
    # Before the body is read: a call counts whether it is well formed or not.
    if principal.key_id is not None:
        calls = await count_call(request.app[SERVICE].backend, principal.key_id)
    wish = await _read_wish(request, operation)
    result = await _carry_out(request, operation, principal, wish, calls)
    headers = {} if calls is None else build_limit(calls)
    return _build_answer(request, operation, result, headers)


async def _answer_stranger(request: web.Request, operation: Operation) -> web.Response:
    """Answer a caller without a credential, at a moment that does not tell what was found."""
    strangers = request.app[STRANGERS]
    place = find_client_place(request, request.app[SERVICE].settings.trusted_proxy_hops)
    strangers.check(place.network)
    wish = await _read_wish(request, operation)
    principal = build_stranger(place.address, request[REQUEST_ID])
    async with strangers.take_turn():
        result = await _carry_out(request, operation, principal, wish, None)
    return _build_answer(request, operation, result, {})


async def _read_wish(request: web.Request, operation: Operation) -> Model:
    return build_request(
        operation,
        path=request.match_info,
        query=list(request.query.items()),
        body=await read_object(request, operation),
    )


async def _carry_out(
    request: web.Request,
    operation: Operation,
    principal: Principal,
    wish: Model,
    calls: LimitStatus | None,
) -> Result:
    try:
        return await run_operation(
            request.app[SERVICE].backend,
            operation,
            principal,
            wish,
            if_match=parse_if_match(operation, request.headers.getall("If-Match", [])),
            idempotency_key=parse_idempotency_key(request.headers.getall("Idempotency-Key", [])),
            calls=calls,
        )
    except OutcomeUnknownError as error:
        if operation.idempotent_by_key:  # to repeat what makes something is not safe by itself
            raise ChangeUnknownError from error
        raise


def _build_answer(
    request: web.Request, operation: Operation, result: Result, headers: dict[str, str]
) -> web.Response:
    body = result.response.model_dump_json().encode("utf-8")
    headers = headers | NO_STORE | build_lifetime(operation)
    if result.version is not None:
        etag = build_etag(result.version, body)
        headers["ETag"] = f'"{etag}"'
        known = request.headers.getall("If-None-Match", [])
        if not operation.changes and matches_copy(etag, known):
            return web.Response(status=304, headers=headers)
    if operation.status == web.HTTPCreated.status_code:
        place = find_location(operation, result.response)
        if place is not None:
            # The issuer may lie below a path, of which the table of operations knows nothing.
            prefix = urlsplit(request.app[SERVICE].settings.issuer_url).path
            headers["Location"] = prefix + place
    if result.is_repeated:
        headers["Idempotent-Replayed"] = "true"
    return web.Response(body=body, status=operation.status, headers=headers, content_type=_JSON)


def find_location(operation: Operation, thing: Model) -> str | None:
    """Return the path of a thing that was made, None if it has none."""
    path = find_thing_path(operation)
    if path is None:
        return None
    name = path[path.rindex("{") + 1 : -1]
    return f"{path[: path.rindex('{')]}{quote(getattr(thing, name), safe='')}"
