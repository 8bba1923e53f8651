"""Acts become events: the audit trail is searched, in its order, each part of it once.

The audit row of an act is written in the transaction of the act, and its numbers have no gaps in
the order of commits. So nothing has to be written besides, and no act is missed or told twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.notices.event import NewNotice, find_event
from tokensvc.core.notices.payload import choose_detail
from tokensvc.issuer.notices.outbox import AT_ONCE
from tokensvc.store.notice_event import append_notices, describe_subjects, take_acts

if TYPE_CHECKING:
    from tokensvc.core.notices.event import EventName, OwnEventName
    from tokensvc.store.notice_event import Act, Described
    from tokensvc.store.pool import Database

# Who is not known to the account is shown to it by this name.
_SOMEBODY_ELSE: Final = "operator"


async def plan_acts_once(database: Database, *, at_once: int = AT_ONCE) -> int:
    """Append an event for each of the next acts that is one; return how many acts were read.

    Raises UnavailableError, and then nothing of it was done.
    """
    async with database.transaction() as connection:
        acts = await take_acts(connection, at_once)
        named = [(act, name) for act in acts if (name := find_event(act.operation)) is not None]
        if named:
            known = await describe_subjects(connection, {act.subject for act, _ in named})
            notices = [_build_notice(act, name, known.get(act.subject)) for act, name in named]
            await append_notices(connection, notices)
    return len(acts)


def _build_notice(act: Act, name: EventName | OwnEventName, known: Described | None) -> NewNotice:
    account_id = None if known is None else known.account_id
    detail: dict[str, Any] = {}
    if known is not None and known.name is not None:
        detail["name"] = known.name
    if known is not None and known.hint is not None:
        detail["hint"] = known.hint
    is_known = account_id is None or act.account_id in {None, account_id}
    detail["actor"] = act.actor if is_known else _SOMEBODY_ELSE
    return NewNotice(
        name=name,
        subject=act.subject,
        account_id=account_id,
        at=act.at,
        detail=detail | choose_detail(act.detail),
    )
