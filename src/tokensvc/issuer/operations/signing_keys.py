"""Operations on signing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tokensvc.core.errors import InvalidInputError
from tokensvc.issuer.operations.paging import cut_page
from tokensvc.issuer.signing import import_export
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.signing.rotation import Urgency, rotate_once
from tokensvc.operations.model import ListPage
from tokensvc.operations.signing_keys import (
    ImportedSigningKey,
    PrivateKey,
    PublicKey,
    RevokedSigningKey,
    Rotation,
    SigningKey,
)

if TYPE_CHECKING:
    from tokensvc.core.algorithm import Algorithm
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.operations.call import Call
    from tokensvc.issuer.signing.listing import ListedSigningKey
    from tokensvc.operations.model import PageRequest
    from tokensvc.operations.signing_keys import (
        ImportSigningKey,
        RevokeSigningKey,
        RotateSigningKey,
        SigningKeyRequest,
    )


def build_signing_key(listed: ListedSigningKey) -> SigningKey:
    """Return a signing key as callers see it. The private key is not in it."""
    return SigningKey(
        kid=listed.record.kid,
        alg=cast("Algorithm", listed.record.alg),
        phase=listed.phase,
        age_seconds=listed.age_seconds,
        created_at=listed.record.created_at,
        active_at=listed.record.active_at,
        superseded_at=listed.superseded_at,
        revoked_at=listed.record.revoked_at,
        safe_to_activate_at=listed.safe_to_activate_at,
        ready_at=listed.ready_at,
        safe_to_remove_at=listed.safe_to_remove_at,
        live_tokens=listed.live_tokens,
    )


async def list_(call: Call, request: PageRequest) -> ListPage[SigningKey]:
    """List the signing keys."""
    found = await list_signing_keys_with_phase(call.database, call.settings)
    page, cursor = cut_page(request, found, _find_key)
    items = [build_signing_key(listed) for listed in page]
    return ListPage[SigningKey](items=items, next_cursor=cursor)


def _find_key(listed: ListedSigningKey) -> str:
    """Return what the list is sorted by: the oldest key comes first."""
    return f"{listed.record.created_at:%Y-%m-%dT%H:%M:%S.%f} {listed.record.kid}"


async def show(call: Call, request: SigningKeyRequest) -> PublicKey:
    """Show the public half of a signing key."""
    jwk, pem = await import_export.load_public_key(call.database, request.kid)
    return PublicKey(kid=request.kid, jwk=dict(jwk), pem=pem.decode("ascii"))


async def rotate(call: Call, request: RotateSigningKey) -> Rotation:
    """Let the next key take over."""
    if request.force and not request.now:
        raise InvalidInputError(
            "force goes with now: a rotation that waits for every cache is never unsafe",
            pointer="/force",
        )
    urgency = Urgency(asked=True, at_once=request.now, force=request.force)
    plan = await rotate_once(
        call.database,
        call.settings,
        await _open(call),
        alg=request.alg,
        urgency=urgency,
        actor=call.actor,
    )
    if plan is None:
        return Rotation(
            kid=None, active_at=None, unsafe_for_seconds=None, new_signer=False, new_standby=False
        )
    return Rotation(
        kid=plan.kid,
        active_at=plan.active_at,
        unsafe_for_seconds=int(plan.unsafe_for.total_seconds()),
        new_signer=plan.new_signer,
        new_standby=plan.new_standby,
    )


async def revoke(call: Call, request: RevokeSigningKey) -> RevokedSigningKey:
    """Revoke a signing key."""
    plan = await revoke_signing_key_now(
        call.database,
        call.settings,
        await _open(call, tolerate_changed=True),
        request.kid,
        actor=call.actor,
        reason=request.reason,
    )
    return RevokedSigningKey(kid=request.kid, successor=None if plan is None else plan.kid)


async def import_(call: Call, request: ImportSigningKey) -> ImportedSigningKey:
    """Take in a private key."""
    imported = await import_export.import_signing_key(
        call.database,
        call.settings,
        await _open(call),
        request.private_key.encode(),
        actor=call.actor,
    )
    return ImportedSigningKey(kid=imported.kid, alg=cast("Algorithm", imported.alg))


async def export(call: Call, request: SigningKeyRequest) -> PrivateKey:
    """Hand out the private half of a signing key."""
    pem = await import_export.export_private_key(
        call.database, await _open(call), request.kid, actor=call.actor
    )
    return PrivateKey(kid=request.kid, pem=pem.decode("ascii"))


async def _open(call: Call, *, tolerate_changed: bool = False) -> MasterKey:
    return await load_master_key(call.database, call.settings, tolerate_changed=tolerate_changed)
