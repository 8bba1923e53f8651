"""Operations on the denylist, and on tokens that are shown to operators."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.errors import Fault, InvalidInputError, InvalidTokenError, NotFoundError
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.issuer.revoking.credentials import revoke_jti, revoke_own_token
from tokensvc.issuer.revoking.endings import end_account, end_key
from tokensvc.issuer.revoking.introspection import describe_token
from tokensvc.issuer.revoking.watching import watch_table
from tokensvc.operations.model import ListPage
from tokensvc.operations.revocations import (
    Changes,
    ListedRevocation,
    Revocation,
    RevocationCounts,
    TokenCheck,
    TokenStatus,
)
from tokensvc.store.audit_event import find_causes
from tokensvc.store.denylist import count_revocations, list_revocation_page
from tokensvc.store.feed_head import list_heads

if TYPE_CHECKING:
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Nothing
    from tokensvc.operations.revocations import (
        CreateRevocation,
        ListRevocations,
        TokenRequest,
        WatchRequest,
    )


def build_revocation(record: RevocationRecord) -> Revocation:
    """Return a revocation as callers see it."""
    revocation = record.revocation
    return Revocation(
        seq=record.position.seq,
        cursor=str(record.position),
        kind=revocation.kind,
        value=revocation.value,
        upto=revocation.upto,
        expires=revocation.exp,
        ending=record.ending,
        healed=record.healed,
        created_at=record.created_at,
    )


async def list_(call: Call, request: ListRevocations) -> ListPage[ListedRevocation]:
    """List the revocations in force."""
    async with call.reading() as connection:
        found, end = await list_revocation_page(
            connection,
            read_wish(request),
            kind=request.kind,
            value=request.value,
            newest_first=request.sort == "-seq",
        )
        # The denylist says what was ended; who did it and why is in the audit trail.
        causes = await find_causes(
            connection,
            [
                (ENDINGS[record.ending].operation, record.revocation.value, record.created_at)
                for record in found
            ],
        )
    items = [
        ListedRevocation(
            **build_revocation(record).model_dump(), made_by=cause.actor, reason=cause.reason
        )
        for record, cause in zip(found, causes, strict=True)
    ]
    return ListPage[ListedRevocation](items=items, next_cursor=build_next_cursor(request, end))


async def count(call: Call, request: Nothing) -> RevocationCounts:
    """Count the revocations in force."""
    del request
    async with call.reading() as connection:
        heads, _ = await list_heads(connection)
        counts = await count_revocations(connection)
    return RevocationCounts(
        seq=heads["denylist"].seq,
        tokens=counts["jti"],
        keys=counts["key"],
        accounts=counts["account"],
        signing_keys=counts["kid"],
        healed=counts["healed"],
    )


async def create(call: Call, request: CreateRevocation) -> Revocation:
    """Revoke a token, or the tokens of a key or an account."""
    record = await _revoke(call, request)
    call.backend.remember([record])
    return build_revocation(record)


async def _revoke(call: Call, request: CreateRevocation) -> RevocationRecord:
    if request.token is not None:
        revoked = await revoke_own_token(
            call.database,
            call.settings,
            request.token,
            actor=call.actor,
            reason=request.reason,
        )
        if revoked is None:
            raise NotFoundError(
                "this is no live token of ours, so there is nothing to revoke", pointer="/token"
            )
        return revoked
    if request.jti is not None:
        life = None if request.exp_in is None else timedelta(seconds=request.exp_in)
        return await revoke_jti(
            call.database, request.jti, life, actor=call.actor, reason=request.reason
        )
    if request.key is not None:
        key = await end_key(
            call.database,
            request.key,
            "key_tokens_revoked",
            actor=call.actor,
            reason=request.reason,
        )
        # The newest is that of this act: tokens can be revoked again and again.
        return key.records[-1]
    account = await end_account(
        call.database,
        str(request.account),
        "account_tokens_revoked",
        actor=call.actor,
        reason=request.reason,
    )
    return account.records[-1]


async def watch(call: Call, request: WatchRequest) -> Changes:
    """Wait for new revocations."""
    after = None if request.after is None else parse_cursor(request.after)
    if call.backend.watch is not None:
        look = await call.backend.watch(after, request.wait)
    else:
        look = await watch_table(call.database, after, request.wait)
    return Changes(
        items=[build_revocation(record) for record in look.records],
        cursor=str(look.position),
        reset=look.went_back,
    )


async def inspect(call: Call, request: TokenRequest) -> TokenStatus:
    """Show what a token says, and its state."""
    try:
        status = await describe_token(call.database, call.settings, request.token)
    except InvalidTokenError as error:
        raise InvalidInputError(
            f"this is no token of the form that we sign ({error.reason})",
            faults=[Fault("/token", "it is no token of the form that we sign")],
        ) from error
    record = status.revoked_by
    return TokenStatus(
        header=status.header,
        payload=status.payload,
        state=status.state,
        reason=status.reason or None,
        revoked_by=None if record is None else build_revocation(record),
        checks=[TokenCheck(**check._asdict()) for check in status.checks],
    )
