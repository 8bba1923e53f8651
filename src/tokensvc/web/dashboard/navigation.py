"""The way around: which pages the sidebar names, for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import TokensvcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.operations.rights import Principal
    from tokensvc.web.dashboard.page import Page, Visit


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the sidebar. `path`: of the page that it leads to."""

    path: str
    label: str
    icon: str


# An entry whose page does not exist, or is not for the reader, is left out.
SECTIONS: Final[tuple[tuple[str, tuple[Entry, ...]], ...]] = (
    ("", (Entry("/", "Overview", "layout-dashboard"),)),
    (
        "Access",
        (
            Entry("/keys", "Keys", "key-round"),
            Entry("/accounts", "Accounts", "users"),
            Entry("/capabilities", "Capabilities", "shield-check"),
            Entry("/audiences", "Audiences", "target"),
        ),
    ),
    (
        "Trust",
        (
            Entry("/signing-keys", "Signing keys", "file-key"),
            Entry("/denylist", "Denylist", "ban"),
            Entry("/decoder", "Token decoder", "scan-search"),
        ),
    ),
    (
        "Record",
        (
            Entry("/audit", "Audit", "scroll-text"),
            Entry("/notices", "Notices", "bell"),
            Entry("/health", "Health", "activity"),
            Entry("/reference", "API reference", "book-open"),
        ),
    ),
)


def list_entries(pages: Iterable[Page], principal: Principal) -> list[tuple[str, list[Entry]]]:
    """Return the sections of the sidebar with what the reader may see."""
    open_to_reader = {
        page.path for page in pages if page.method == "GET" and page.is_for(principal)
    }
    sections = [
        (title, [entry for entry in entries if entry.path in open_to_reader])
        for title, entries in SECTIONS
    ]
    return [(title, entries) for title, entries in sections if entries]


async def count_entries(visit: Visit) -> dict[str, int]:
    """Return how many things there are behind the entries, by their paths; {} if not known."""
    try:
        found = await visit.run("overview.show", since=1)
    except TokensvcError:  # a page is worth more than what stands beside it
        return {}
    counts = {"/keys": found.keys.total}
    if found.things is not None:
        counts |= {
            "/accounts": found.things.accounts,
            "/capabilities": found.things.capabilities,
            "/audiences": found.things.audiences,
            "/denylist": found.things.revocations,
        }
    return counts


async def find_own_name(visit: Visit) -> str:
    """Return the name of the key that is signed in, its id if that is not known."""
    try:
        key = await visit.run("keys.show", id=visit.principal.key_id)
    except TokensvcError:  # as above
        return str(visit.principal.key_id)
    return str(key.name)


def find_current(place: str) -> str:
    """Return the path of the entry that a page lies below."""
    paths = [entry.path for _, entries in SECTIONS for entry in entries]
    below = [path for path in paths if place == path or place.startswith(f"{path}/")]
    return max(below, key=len, default="/") if place != "/" else "/"
