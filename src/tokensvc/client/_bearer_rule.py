"""The rule that all adapters follow.

A request to one of `allowed_hosts` gets a token. If the response says that this token is invalid,
the token is dropped and the request is sent once more with another one. The adapters only tell the
rule about requests and responses of their library. The source gets the tokens, never the client
that the adapter serves: its redirects, proxies and hooks do not see the API key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, Required, TypedDict, TypeVar

from tokensvc.client._challenge import refuses_token
from tokensvc.client._errors import BodyNotRepeatableError
from tokensvc.client._targets import Targets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tokensvc.client._targets import Elsewhere

T_co = TypeVar("T_co", covariant=True)


class GivesTokens(Protocol[T_co]):
    """A token source: `get_token` returns a text, or something to await that becomes one."""

    def get_token(self, *, audience: str | None = None, scope: str | None = None) -> T_co:
        """Return a good token."""

    def drop_token(
        self, token: str, *, audience: str | None = None, scope: str | None = None
    ) -> bool:
        """Note that `token` was refused, and return whether to repeat the request."""


class BearerOptions(TypedDict, total=False):
    """What every adapter takes besides its source.

    `audience` and `scope` are those of the tokens. `elsewhere` decides about requests to other
    hosts: "refuse" (the default) raises HostNotAllowedError, "no_token" sends them without a token.
    """

    allowed_hosts: Required[Collection[str]]
    audience: str | None
    scope: str | None
    elsewhere: Elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the rule looks at in a request. `authorization` is its header, which holds a secret."""

    scheme: str
    host: str
    port: int | None
    authorization: str | None = field(repr=False)


class BearerRule(Generic[T_co]):
    """Decides for one source and its `BearerOptions`, which requests get a token and when again.

    `clients`: for each client that the adapter serves, as a sentence names it, the class of its
    source. The constructor raises TypeError if `source` suits none of them.
    """

    def __init__(
        self,
        source: GivesTokens[T_co],
        clients: Mapping[str, type],
        *,
        allowed_hosts: Collection[str],
        audience: str | None = None,
        scope: str | None = None,
        elsewhere: Elsewhere = "refuse",
    ) -> None:
        self._source = source
        self.check_source(clients)
        self._targets = Targets(allowed_hosts, elsewhere)
        self._audience = audience
        self._scope = scope

    def check_source(self, clients: Mapping[str, type]) -> None:
        """Raise TypeError unless one of `clients` can use the source."""
        if not isinstance(self._source, tuple(clients.values())):
            needs = (f"{client} needs a {kind.__name__}" for client, kind in clients.items())
            raise TypeError(", and ".join(needs))

    def covers(self, request: Sent) -> bool:
        """Return whether this request gets a token. Raises HostNotAllowedError."""
        return self._targets.cover(request.scheme, request.host, request.port)

    def get_token(self) -> T_co:
        """Return what `get_token` of the source returns."""
        return self._source.get_token(audience=self._audience, scope=self._scope)

    def must_repeat(
        self,
        request: Sent,
        status: int,
        challenges: Iterable[str],
        *,
        is_repeatable: bool = True,
    ) -> bool:
        """Return whether this response asks for the request with another token; drop the old one.

        `request` is the one that was answered. It carries no token if a redirect took it off, and
        then the response says nothing about the token. `challenges` are the WWW-Authenticate
        headers. `is_repeatable`: whether the body can be sent once more.

        Raises HostNotAllowedError, BodyNotRepeatableError.
        """
        scheme, _, token = (request.authorization or "").partition(" ")
        # `drop_token` comes last, because it drops the token for all who use the source.
        must_repeat = (
            scheme == "Bearer"
            and refuses_token(status, challenges)
            and self.covers(request)
            and self._source.drop_token(token, audience=self._audience, scope=self._scope)
        )
        if must_repeat and not is_repeatable:
            raise BodyNotRepeatableError
        return must_repeat
