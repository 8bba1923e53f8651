"""A signing key that may be in wrong hands: trust in it is withdrawn at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.keyring import LEEWAY, revoke_record
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.signing.master_key import find_current
from tokensvc.issuer.signing.new_keys import new_drafts
from tokensvc.issuer.signing.rotation import carry_out, load_facts
from tokensvc.logs.logger import get_logger
from tokensvc.store.denylist import append_revocation, is_revoked, prove_durable
from tokensvc.store.feed_head import bump_head
from tokensvc.store.issuance import find_latest_moment
from tokensvc.store.signing_key import load_signing_key, lock_rotation, revoke_signing_key

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor
    from tokensvc.core.identifier import Kid
    from tokensvc.core.rotation import RotationPlan
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.signing.rotation import KeyringFacts
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

# At least this long. A thief chooses when the tokens that he signs expire, so their life is no
# measure; but no cache keeps a published key for a day.
_KID_DENIED_FOR: Final = timedelta(days=1)

_log = get_logger(__name__)


async def revoke_signing_key_now(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    kid: str,
    *,
    actor: Actor,
    reason: str = "",
    healed: bool = False,
) -> RotationPlan | None:
    """Withdraw trust in a signing key.

    In one transaction the key is revoked, its successor signs, and its `kid` is on the denylist.
    Followers refuse every token that it signed within a second; others trust it until their cache
    of the JWKS ends. Returns what took its place, None if nothing had to. A repeat writes nothing,
    and waits until the first act is durable. `healed`: Postgres lost it. Raises NotFoundError.
    """
    async with database.connection() as connection:
        alg = (await load_signing_key(connection, kid)).alg
    # Before the transaction: to make an RSA key takes time, and others wait for the lock.
    drafts = await new_drafts(alg)
    async with database.transaction() as connection:
        await lock_rotation(connection)
        facts = await load_facts(connection, settings)
        found = await load_signing_key(connection, kid)
        if found.revoked_at is not None and await is_revoked(connection, "kid", found.kid):
            await prove_durable(connection)
            return None
        current = find_current(settings, master_key, facts.records)
        await revoke_signing_key(connection, found.kid, facts.now)
        trail = Trail(actor)
        trail.note("signing-keys.revoke", found.kid, reason=reason)
        plan = _without(facts, found.kid).plan(alg)
        if plan is not None:
            await carry_out(connection, plan, drafts, trail, now=facts.now, master_key=current)
        await trail.append(connection)
        await bump_head(connection, "signing_key")
        await _append(connection, found.kid, facts, healed=healed)
    _log.warning("signing_key_revoked", kid=found.kid)
    return plan


async def _append(connection: Connection, kid: Kid, facts: KeyringFacts, *, healed: bool) -> None:
    """Put the `kid` on the denylist, by the last statement: all others who revoke wait for it."""
    # The clock may be behind tokens that the key has signed.
    latest = await find_latest_moment(connection)
    expires_at = latest + max(_KID_DENIED_FOR, facts.policy.token_life + LEEWAY)
    await append_revocation(
        connection,
        "signing_key_revoked",
        kid,
        watermark=None,
        expires_at=expires_at,
        healed=healed,
    )


def _without(facts: KeyringFacts, kid: Kid) -> KeyringFacts:
    """Return the facts as they are once the key is revoked."""
    return replace(facts, records=revoke_record(facts.records, kid, facts.now))
