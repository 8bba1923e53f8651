"""Whoever holds a token or an API key may revoke it, and needs nothing else for that (RFC 7009).

So this is open to everybody, and it must tell nobody which keys exist. It is guarded as exchanges
are: what is dead is not looked up again and again, and networks that guess wait.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.api_key import parse_api_key
from tokensvc.core.errors import InvalidClientError, InvalidTokenError
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.revoking.credentials import HOLDER, CredentialKind, revoke_credential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.actor import Actor
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.issuer.callers import Callers
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.issuer.revoking.credentials import HolderRevocations
    from tokensvc.settings import Settings

_NOTHING: Final[tuple[CredentialKind, str | None]] = ("nothing", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Revokes what holders show."""

    settings: Settings
    mirror: Mirror
    callers: Callers
    revocations: HolderRevocations

    async def revoke(
        self, text: str, network: str, holder: Actor = HOLDER
    ) -> tuple[CredentialKind, str | None]:
        """Revoke the token or API key that its holder shows; return its kind and public id.

        `network`: where the holder is. `holder`: what is known of them, for the audit trail. Raises
        RateLimitedError, UnavailableError.
        """
        digest = hashlib.sha256(text.encode()).digest()
        await self.callers.dead_credentials.check(digest, network)
        is_key = self._is_key(text)
        if is_key:
            kind, public_id = await self.callers.guard.ask(
                digest, network, lambda: self._revoke(text, holder), otherwise=_NOTHING
            )
            # It gets no tokens any more, so it must not be remembered as a good key.
            self.callers.guard.forget(digest)
        else:
            kind, public_id = await self._revoke(text, holder)
            if kind == "nothing":
                # What is no key waits as long as a key that does not exist.
                await self.callers.guard.hold(network)
        if is_key or _is_token(text):  # junk is not remembered: there is no end to it
            self.callers.dead_credentials.note(digest)  # it was dead before, or it is now
        if kind == "nothing":
            self.callers.guard.note_refused(network)
        return kind, public_id

    def _is_key(self, text: str) -> bool:
        try:
            parse_api_key(text, self.settings.key_prefix)
        except InvalidClientError:
            return False
        return True

    async def _revoke(self, text: str, holder: Actor) -> tuple[CredentialKind, str | None]:
        signing_keys: Sequence[SigningKeyRecord] = ()
        if "." in text:  # a token: no API key holds a dot
            try:
                kid = parse_unverified(text).kid
            except InvalidTokenError:
                return _NOTHING
            signing_keys = await self.callers.introspection.find_signing_keys(kid)
        revoked = await revoke_credential(
            self.revocations,
            self.settings,
            text,
            now=self.mirror.postgres_clock.now,
            signing_keys=signing_keys,
            # Whichever clock is wrong, a token that may be live is revoked.
            leeway=LEEWAY + self.mirror.postgres_clock.doubt,
            holder=self.settings.keep_address(holder),
        )
        self.mirror.denylist.remember(revoked.records)
        return revoked.kind, revoked.id

    async def close(self) -> None:
        """Wait until all that has begun is through."""
        await self.revocations.close()


def _is_token(text: str) -> bool:
    try:
        parse_unverified(text)
    except InvalidTokenError:
        return False
    return True
