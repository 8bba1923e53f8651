"""Puts tokens on the requests of the library requests.

    auth = BearerAuth(source, allowed_hosts={"orders.example.com"})
    requests.get("https://orders.example.com/v1/orders", auth=auth, timeout=10)

requests itself takes the token off when a redirect leads to another host. Nothing about a request
is kept in `auth`, so several threads may share it.
"""

from __future__ import annotations

from typing import Any, Unpack
from urllib.parse import urlsplit

import requests

from tokensvc.client._bearer_rule import BearerOptions, BearerRule, Sent
from tokensvc.client._errors import BodyNotRepeatableError
from tokensvc.client._threaded import ThreadedTokenSource


class BearerAuth(requests.auth.AuthBase):
    """Puts a token on each request to `allowed_hosts`, and another one if that is refused.

    `source` must be a ThreadedTokenSource; the constructor raises TypeError for anything else.
    Options: `allowed_hosts`, `audience`, `scope`, and `elsewhere` for requests to other hosts,
    which raise HostNotAllowedError ("refuse", the default) or are sent without a token
    ("no_token").
    """

    def __init__(self, source: ThreadedTokenSource, **options: Unpack[BearerOptions]) -> None:
        self._rule = BearerRule(source, {"a requests.Session": ThreadedTokenSource}, **options)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the token on, and look at the response. Raises HostNotAllowedError."""
        if self._rule.covers(_describe(r)):
            r.headers["Authorization"] = f"Bearer {self._rule.get_token()}"
            r.register_hook("response", self._judge)  # type: ignore[no-untyped-call]
        return r

    def _judge(self, reply: requests.Response, **options: Any) -> requests.Response:  # noqa: ANN401
        """Return the response, or the one to the request that was sent again.

        requests calls this for every response, also those that redirect. `options` are what
        `Session.send` was given.
        """
        # requests joins several headers by commas, which the grammar of challenges allows.
        sent, challenge = _describe(reply.request), reply.headers.get("WWW-Authenticate", "")
        if not self._rule.must_repeat(sent, reply.status_code, [challenge]):
            return reply
        reply.close()
        again = _copy_to_repeat(reply.request)
        again.headers["Authorization"] = f"Bearer {self._rule.get_token()}"
        # A connection calls no hooks, so the second response is not judged: two are the most.
        repeated: requests.Response = reply.connection.send(again, **options)
        repeated.history.append(reply)
        repeated.request = again
        return repeated


def _describe(request: requests.PreparedRequest) -> Sent:
    url = urlsplit(request.url or "")
    host, header = url.hostname or "", request.headers and request.headers.get("Authorization")
    authorization = str(header) if header else None
    return Sent(scheme=url.scheme, host=host, port=url.port, authorization=authorization)


def _copy_to_repeat(request: requests.PreparedRequest) -> requests.PreparedRequest:
    again = request.copy()
    body: object = again.body
    try:
        if not isinstance(body, bytes | str | None):
            requests.utils.rewind_body(again)
    except requests.exceptions.UnrewindableBodyError as error:
        raise BodyNotRepeatableError from error
    return again
