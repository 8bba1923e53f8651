"""The overview: what is going on, and what needs a look."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.operations.operation import KEY_READERS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.charts import OF_MANY, build_outcomes, find_range
from tokensvc.web.dashboard.denylist import ALARM_SECONDS
from tokensvc.web.dashboard.live import wait_for_news
from tokensvc.web.dashboard.moments import write_moment, write_span
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.page import Page, Redirect, View
from tokensvc.web.dashboard.saved_key_lists import build_view_link
from tokensvc.web.dashboard.timeline import find_end

if TYPE_CHECKING:
    from tokensvc.operations.overview import KeyCounts
    from tokensvc.operations.signing_keys import SigningKey
    from tokensvc.web.dashboard.charts import Outcomes, Range
    from tokensvc.web.dashboard.page import Visit

# What an overview counts, and what is said of it.
_RISKS: Final = ("endless", "idle", "powerful", "replaced")
_LAST_CHANGES: Final = 6
_LOOK_SECONDS: Final = 10.0


async def show_overview(visit: Visit) -> View | Redirect:
    """Show the overview; a new service shows the way to the first token."""
    shown = find_range(visit.query.get("range"), OF_MANY)
    if visit.wants_fragment:
        return await _show_stats(visit, shown)
    found = await visit.run("overview.show", since=shown.seconds)
    outcomes = build_outcomes(found.hours, found.until, shown)
    trust = await _look_at_trust(visit)
    events = await _list_events(visit)
    return View(
        {
            "keys": found.keys,
            "counted_at": found.keys_counted_at,
            "outcomes": outcomes,
            # Signing in is an exchange too, so their number does not tell.
            "is_new": found.keys.total <= 1,
            "ranges": OF_MANY,
            "risks": {count: build_view_link(count, visit.now) for count in _RISKS},
            **trust,
            **_build_stats(shown, found.keys, outcomes, trust),
            "seen": "",
            "events": events,
            "names": await find_names(visit, [i for e in events for i in (e.actor, e.subject)]),
        }
    )


async def _show_stats(visit: Visit, shown: Range) -> View:
    """Show the figures at the top alone, as soon as they have changed."""

    async def look() -> dict[str, Any]:
        found = await visit.run("overview.show", since=shown.seconds)
        outcomes = build_outcomes(found.hours, found.until, shown)
        return _build_stats(shown, found.keys, outcomes, await _look_at_trust(visit))

    values = await wait_for_news(visit, look, pause=_LOOK_SECONDS)
    return View(values, fragment="overview/stats.html")


def _build_stats(
    shown: Range, keys: KeyCounts, outcomes: Outcomes, trust: dict[str, Any]
) -> dict[str, Any]:
    followers = trust["followers"]
    return {
        "range": shown,
        "exchanges": outcomes.issued + outcomes.refused + outcomes.limited,
        "share": _share(outcomes),
        "keys": keys,
        "follower_count": None if followers is None else len(followers),
        "behind_count": len(trust["behind"]),
        # A silent follower that lacks nothing is not behind, but nobody knows that it is in step.
        "stale_count": sum(each.state == "silent" for each in followers or ()),
        "signer_age": trust["signer_age"],
        "signer_plan": trust["signer_plan"],
    }


async def _look_at_trust(visit: Visit) -> dict[str, Any]:
    """Return what readers of everything see: followers that are behind, the key that signs."""
    if not visit.may("followers.list"):
        return {"followers": None, "behind": [], "signer_age": None, "signer_plan": None}
    followers = (await visit.run_whole("followers.list")).items
    behind = [each for each in followers if each.lag_seconds > ALARM_SECONDS]
    signing = (await visit.run("signing-keys.list")).items
    signer = next((k for k in signing if k.phase == "active" and k.alg == DEFAULT_ALGORITHM), None)
    return {
        "followers": followers,
        "behind": sorted(behind, key=lambda follower: -follower.lag_seconds),
        **_describe_signer(visit, signer),
    }


def _describe_signer(visit: Visit, signer: SigningKey | None) -> dict[str, str | None]:
    """Return for how long the present signing key has signed, and until when it will."""
    if signer is None or signer.active_at is None:
        return {"signer_age": None, "signer_plan": None}
    period = timedelta(seconds=visit.request.app[SERVICE].settings.rotation_period)
    ends_at = find_end(signer, period)
    plan = "now" if ends_at is None or ends_at <= visit.now else write_moment(ends_at, visit.now)
    return {
        "signer_age": write_span((visit.now - signer.active_at).total_seconds()),
        "signer_plan": f"{signer.alg}, next rotation {plan}",
    }


async def _list_events(visit: Visit) -> list[Any]:
    if not visit.may("audit-events.list"):
        return []
    return list((await visit.run("audit-events.list", limit=_LAST_CHANGES)).items)


def _share(outcomes: Outcomes) -> str | None:
    """Return how many of a hundred exchanges got a token, None if there was none."""
    total = outcomes.issued + outcomes.refused + outcomes.limited
    return f"{100 * outcomes.issued / total:.2f}" if total else None


PAGES: Final = (
    Page(path="/", act=show_overview, template="overview/page.html", needs=KEY_READERS),
)
