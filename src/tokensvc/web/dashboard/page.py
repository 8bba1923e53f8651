"""A page, what its function gets, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.model import MOST_ON_A_PAGE
from tokensvc.operations.operation import ANYBODY
from tokensvc.operations.rights import may_call
from tokensvc.operations.table import OPERATIONS
from tokensvc.operations.validation import build_model
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.forms import NOTHING_TYPED, build_values, read_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from aiohttp import web

    from tokensvc.core.claims import Claims
    from tokensvc.issuer.operations.call import Backend
    from tokensvc.operations.model import Model
    from tokensvc.operations.rights import Principal
    from tokensvc.web.dashboard.forms import Typed

    Act = Callable[["Visit"], Awaitable["View | Redirect | File"]]
    Form = Callable[["Visit"], Awaitable["View | Redirect"]]


ROOT: Final = "/dashboard"
# Fields of forms: which version of a thing a form shows, and the name of the request that it sends,
# so that a second click creates no second thing.
VERSION: Final = "version"
IDEMPOTENCY_KEY: Final = "idempotency_key"


@dataclass(frozen=True, slots=True)
class View:
    """What a template is filled with.

    `fragment`: the template that is sent alone to a request of htmx, None if the page is sent
    whole. `template`: the one to use instead of the page's.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    fragment: str | None = None
    status: int = 200
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the browser goes next, below the dashboard: "/keys"."""

    path: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that the browser saves under `name`."""

    name: str
    content_type: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A row of the table of pages.

    `path`: below the dashboard, with parameters in braces. `template`: None if it redirects or is a
    file. `needs`: the caller holds one of these capabilities; for ANYBODY it is enough to be signed
    in. `act`: what it does. `again`: the page that shows the form again if `act` is
    refused. `is_open`: nobody has to be signed in. `has_secret`: the answer shows what is shown
    only once.
    """

    path: str
    act: Act
    template: str | None = None
    method: Literal["GET", "POST"] = "GET"
    needs: tuple[str, ...] = ANYBODY
    again: Form | None = None
    is_open: bool = False
    has_secret: bool = False

    def is_for(self, principal: Principal) -> bool:
        """Tell whether the capabilities of somebody who is signed in suffice."""
        return not self.needs or not principal.capabilities.isdisjoint(self.needs)


def build_form(
    path: str,
    *,
    show: Form,
    act: Act,
    template: str,
    needs: tuple[str, ...],
    has_secret: bool = False,
) -> tuple[Page, Page]:
    """Return the page that shows a form, and the one that does what was sent with it.

    `has_secret`: the answer to what was sent shows what is shown only once.
    """
    return (
        Page(path=path, act=show, template=template, needs=needs),
        Page(
            path=path,
            method="POST",
            act=act,
            again=show,
            template=template,
            needs=needs,
            has_secret=has_secret,
        ),
    )


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request for a page.

    `base`: the path of the dashboard, as the browser knows it. `path`: the parameters of the path.
    `principal`: who is signed in; somebody without rights if nobody is, and then `claims` is None.
    `now`: Postgres's clock. `typed`: what the form held, and what was refused of it. `counts`: how
    many things there are, by the pages that list them. `own_name`: of the key that is signed in.
    `after`: what is done to the answer, like setting a cookie.
    """

    request: web.Request
    base: str
    principal: Principal
    now: datetime
    path: Mapping[str, str]
    claims: Claims | None = None
    typed: Typed = NOTHING_TYPED
    counts: Mapping[str, int] = field(default_factory=dict)
    own_name: str = ""
    after: list[Callable[[web.Response], None]] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The path of the page below the dashboard: "/keys/key_..."."""
        path = self.request.path
        # The path of the issuer may stand in front of it.
        return path[path.index(ROOT) + len(ROOT) :]

    @property
    def backend(self) -> Backend:
        """What operations work on."""
        return self.request.app[SERVICE].backend

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address; what is empty is absent."""
        return read_query(self.request)

    @property
    def wants_fragment(self) -> bool:
        """Whether htmx asks, for a part of a page."""
        return "HX-Request" in self.request.headers

    def may(self, name: str) -> bool:
        """Tell whether the caller may call an operation, so that a page offers it."""
        return may_call(OPERATIONS[name], self.principal)

    async def run(self, name: str, /, **values: Any) -> Any:  # noqa: ANN401 - a model
        """Carry out an operation with these fields, and return its answer.

        Fields of an operation that only reads may be of any type: they become texts, and those
        that are None are left out. Raises what `run_operation` raises.
        """
        operation = OPERATIONS[name]
        if not operation.changes:
            values = {field: str(value) for field, value in values.items() if value is not None}
        return await self._carry_out(name, build_model(operation, values))

    async def run_whole(self, name: str, /, **values: Any) -> Any:  # noqa: ANN401 - a model
        """Carry out an operation that lists; return the last page, with the things of all pages."""
        values["limit"], items = MOST_ON_A_PAGE, []
        while True:
            page = await self.run(name, **values)
            items += page.items
            if page.next_cursor is None:
                return page.model_copy(update={"items": items})
            values["cursor"] = page.next_cursor

    async def submit(
        self,
        name: str,
        /,
        *,
        without: tuple[str, ...] = (),
        counted_from: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - fields of the request
    ) -> Any:  # noqa: ANN401 - a model of its own each
        """Carry out an operation with what was typed into the fields of its request.

        `more`: fields that were not typed. `without`: fields that are not taken from the form.
        `counted_from`: as in `run_operation`. If the form tells which version of the thing it
        shows, no other version is changed. If it names the request, sending it again creates
        nothing.
        """
        operation = OPERATIONS[name]
        values = {**build_values(operation, self.typed.form, without), **more}
        shown = self.typed.form.get(VERSION) if operation.obeys_if_match else None
        wish = build_model(operation, values)
        request_name = self.typed.form.get(IDEMPOTENCY_KEY) if operation.idempotent_by_key else None
        return await self._carry_out(name, wish, shown, request_name or None, counted_from)

    async def _carry_out(
        self,
        name: str,
        wish: Model,
        if_match: str | None = None,
        idempotency_key: str | None = None,
        counted_from: Mapping[str, str] | None = None,
    ) -> Model:
        result = await run_operation(
            self.backend,
            OPERATIONS[name],
            self.principal,
            wish,
            if_match=None if if_match is None else frozenset({if_match}),
            idempotency_key=idempotency_key,
            counted_from=counted_from or {},
        )
        return result.response
