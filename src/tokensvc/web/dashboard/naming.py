"""The names of keys that events tell of by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.operations.model import MOST_IDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.web.dashboard.page import Visit

_KEY: Final = "key_"


async def find_key_names(visit: Visit, events: Iterable[Any]) -> dict[str, str]:
    """Return the names of the keys that did something, or to which it was done, by their ids.

    Deleted keys are left out.
    """
    named = {name for event in events for name in (event.actor, event.subject)}
    ids = sorted(name for name in named if name.startswith(_KEY))[:MOST_IDS]
    if not ids:
        return {}
    found = await visit.run("keys.list", ids=",".join(ids), limit=len(ids))
    return {key.id: key.name for key in found.items}
