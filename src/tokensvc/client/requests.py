"""Tokens on the requests of the library requests.

    auth = BearerAuth(source, allowed_hosts={"orders.example.com"})
    requests.get("https://orders.example.com/v1/orders", auth=auth, timeout=10)

requests itself takes the token off when a redirect leaves the host. The token is got by the source, never by this session. With one
`auth`, a Session may be used by several threads as far as requests allows it: nothing about a request is kept here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.utils import rewind_body

from tokensvc.client.challenge import refuses_token
from tokensvc.client.errors import BodyNotRepeatableError
from tokensvc.client.target import Targets

if TYPE_CHECKING:
    from collections.abc import Collection

    from requests import PreparedRequest, Response

    from tokensvc.client.target import Elsewhere
    from tokensvc.client.threaded import ThreadedTokenSource

_HEADER = "Authorization"


class BearerAuth(AuthBase):
    """Puts a token on each request to `allowed_hosts`, and repeats it once with another one if the token is refused.

    `elsewhere`: requests to other hosts raise HostNotAllowedError ("refuse") or go without a token ("no_token").
    """

    def __init__(
        self,
        source: ThreadedTokenSource,
        *,
        allowed_hosts: Collection[str],
        audience: str | None = None,
        scope: str | None = None,
        elsewhere: Elsewhere = "refuse",
    ) -> None:
        self._source = source
        self._targets = Targets(allowed_hosts, elsewhere)
        self._audience = audience
        self._scope = scope

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Put the token on, and see to the answer."""
        if self._covers(r):
            self._put_token(r)
            r.register_hook("response", self._repeat_if_refused)  # type: ignore[no-untyped-call]
        return r

    def _repeat_if_refused(self, response: Response, **options: Any) -> Response:  # noqa: ANN401 - what Session.send was given
        """Return the answer, or that to the request sent again. requests calls this for every hop, with the request as it was sent."""
        scheme, _, token = str(response.request.headers.get(_HEADER, "")).partition(" ")
        if (
            not refuses_token(response.status_code, [response.headers.get("WWW-Authenticate", "")])
            or scheme != "Bearer"
        ):
            return response
        if not self._covers(response.request) or not self._source.drop_token(
            token, audience=self._audience, scope=self._scope
        ):
            return response
        response.close()
        again = response.request.copy()
        _rewind(again)
        self._put_token(again)
        repeated: Response = response.connection.send(again, **options)
        repeated.history.append(response)
        repeated.request = again
        return repeated

    def _put_token(self, request: PreparedRequest) -> None:
        request.headers[_HEADER] = (
            f"Bearer {self._source.get_token(audience=self._audience, scope=self._scope)}"
        )

    def _covers(self, request: PreparedRequest) -> bool:
        parts = urlsplit(request.url or "")
        return self._targets.cover(parts.scheme, parts.hostname or "", parts.port)


def _rewind(request: PreparedRequest) -> None:
    body: object = request.body
    if body is None or isinstance(body, bytes | str):
        return
    try:
        rewind_body(request)
    except UnrewindableBodyError as error:
        raise BodyNotRepeatableError from error
