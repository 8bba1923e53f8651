"""Signing in to the dashboard: an API key becomes a token of an hour, and is not kept.

The token is for an audience of its own. So what stands in a browser's cookie cannot call the API,
and a token for the API opens no page. It holds only the capabilities for the service itself: what
else the key holds is looked up when it matters.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.api_key import parse_api_key
from tokensvc.core.audience import DASHBOARD_AUDIENCE
from tokensvc.core.capability import ADMIN, KEYS, READ, is_for_service
from tokensvc.core.errors import InvalidClientError, InvalidTargetError, InvalidTokenError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.issuer.audit import record
from tokensvc.issuer.revoking.credentials import revoke_token
from tokensvc.operations.rights import Principal
from tokensvc.store.api_key import find_id_by_digest
from tokensvc.store.audit_event import has_recent_event

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.claims import Claims
    from tokensvc.core.network import ClientPlace
    from tokensvc.core.operation_name import OperationName
    from tokensvc.issuer.callers import Callers, KnownCaller
    from tokensvc.issuer.exchange.issuing import Exchange, IssuedToken
    from tokensvc.issuer.operations.call import Backend

# Whoever holds one of these may sign in.
MAY_SIGN_IN: Final = (ADMIN, READ, KEYS)
# Whoever holds a dead key could fill the audit trail with it: one event tells enough.
_REFUSAL_PAUSE: Final = timedelta(hours=1)
_FORM_CONTEXT: Final = b"tokensvc: forms of the dashboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Signs people in and out, and says who they are in between."""

    callers: Callers
    exchange: Exchange
    backend: Backend

    async def begin(self, text: str, place: ClientPlace, actor: Actor) -> IssuedToken:
        """Return the token of somebody who shows an API key at `place`.

        `actor`: what is known of them without the key. A refusal of a key that exists is an event
        of the audit trail. Raises InvalidClientError, RateLimitedError, UnavailableError.
        """
        key = parse_api_key(text, self.backend.settings.key_prefix)
        try:
            caller = await self._check(key, place)
            issued = await self._issue(key, caller, place)
        # InvalidTargetError: the key names its audiences, and the dashboard is not among them.
        except (InvalidClientError, InvalidTargetError) as error:
            await self._note_refusal(key, actor, error.reason)
            raise InvalidClientError(error.reason) from error
        jti, key_id = issued.claims.jti, issued.claims.client_id
        await self._record(actor, "dashboard.sign-in", key_id, caller.account_id, jti=jti)
        return issued

    async def check(self, text: str, *, in_postgres: bool) -> Claims:
        """Return what a token says if it is live and one of a sign-in.

        `in_postgres`: Postgres is asked whether it was revoked, not the copy of this process, which
        is half a second old at most. Raises InvalidTokenError, UnavailableError.
        """
        introspection = self.callers.introspection
        check = introspection.check if in_postgres else introspection.check_by_copy
        claims = await check(text)
        if claims.aud != DASHBOARD_AUDIENCE:
            raise InvalidTokenError("wrong_audience")
        return claims

    async def end(self, claims: Claims, actor: Actor) -> None:
        """Revoke the token of a sign-in. Raises UnavailableError."""
        kept = self.backend.settings.keep_address(actor)
        self.backend.remember(await revoke_token(self.backend.database, claims, actor=kept))
        key_id, account_id = claims.client_id, claims.sub
        await self._record(actor, "dashboard.sign-out", key_id, account_id, jti=claims.jti)

    def build_form_token(self, claims: Claims, path: str) -> str:
        """Return what a form for `path` carries: no page of another sign-in can know it."""
        secret = self.backend.load_master_key().secret
        # The master key itself is not used: a key that is made for this purpose alone opens
        # nothing.
        own = hmac.digest(secret, _FORM_CONTEXT, hashlib.sha256)
        return hmac.digest(own, f"{claims.jti} {path}".encode(), hashlib.sha256).hex()[:32]

    async def _check(self, key: ApiKey, place: ClientPlace) -> KnownCaller:
        caller = await self.callers.check_key(key, None, place, None)
        if caller.capabilities.isdisjoint(MAY_SIGN_IN):
            raise InvalidClientError("no_right_to_sign_in")
        return caller

    async def _issue(self, key: ApiKey, caller: KnownCaller, place: ClientPlace) -> IssuedToken:
        # A token has capabilities for the service only if they are named.
        scope = frozenset(name for name in caller.capabilities if is_for_service(name))
        wanted = ExchangeRequest(credential=key, audience=DASHBOARD_AUDIENCE, scope=scope)
        return await self.exchange.issue(wanted, place.network, place.address)

    async def _note_refusal(self, key: ApiKey, actor: Actor, reason: str) -> None:
        async with self.backend.database.connection() as connection:
            key_id = await find_id_by_digest(connection, key.digest)
            is_known = key_id is not None and await has_recent_event(
                connection, "dashboard.refuse", key_id, _REFUSAL_PAUSE
            )
        if key_id is not None and not is_known:
            await self._record(actor, "dashboard.refuse", key_id, None, reason=reason)

    async def _record(
        self,
        actor: Actor,
        operation: OperationName,
        key_id: str,
        account_id: str | None,
        **detail: str,
    ) -> None:
        known = actor if account_id is None else _name(actor, key_id, account_id)
        kept = self.backend.settings.keep_address(known)
        async with self.backend.database.transaction() as connection:
            await record(connection, kept, operation, key_id, **detail)


def build_principal(claims: Claims, actor: Actor) -> Principal:
    """Return who the holder of a token is. `actor`: what is known of them without the token."""
    shown_at = claims.iat if claims.auth_time is None else claims.auth_time
    return Principal(
        actor=replace(_name(actor, claims.client_id, claims.sub), must_stand=True),
        capabilities=frozenset(claims.scope),
        key_id=claims.client_id,
        account_id=claims.sub,
        shown_at=datetime.fromtimestamp(shown_at, UTC),
    )


def _name(actor: Actor, key_id: str, account_id: str) -> Actor:
    return replace(actor, name=key_id, account_id=account_id)
