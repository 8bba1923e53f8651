"""DenylistLog and FollowedDenylist together.

Whatever happens in whatever order, the follower ends with all that the issuer holds.
"""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st
from tests.factories import ISSUER, NOW, make_revocation_record, seconds

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.denylist.page import FeedPage
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.errors import InvalidPageError
from tokensvc.core.identifier import Kid
from tokensvc.verify._snapshot import FeedSnapshot, Snapshot, build_snapshot, parse_snapshot

T = seconds(NOW)
STEPS = [
    "revoke",
    "revoke",
    "poll",
    "poll",
    "snapshot",
    "old cursor",
    "time",
    "restart",
    "reload",
    "replay",
    "fail over",
]
steps = st.lists(st.sampled_from(STEPS), max_size=60)


class Issuer:
    def __init__(self) -> None:
        self.log = DenylistLog()
        self.log.reset([], Position(0, "t0"))
        self.now, self.made = T, 0
        self.live: dict[str, Revocation] = {}

    def revoke(self, life: int) -> None:
        self.made += 1
        entry = Revocation(kind="jti", value=f"j{self.made}", exp=self.now + life)
        assert self.log.head is not None
        head = Position(self.log.head.seq + 1, f"t{self.made}")
        self.log.append([make_revocation_record(entry, head)], head)
        self.live[entry.value] = entry

    def page(self, after: Position | None) -> FeedPage:
        cut = self.log.cut(after, most=5)
        assert self.log.head is not None
        assert cut.cursor is not None
        return FeedPage(
            issuer=ISSUER,
            issued_at=self.now,
            expires_at=self.now + 60,
            cursor=cut.cursor,
            head=self.log.head,
            after=None if cut.full else after,
            full=cut.full,
            revocations=tuple(cut.records.revocations()),
        )

    def rows(self):
        return [record for record in self.log if record.revocation.exp > self.now]


def held(follower: FollowedDenylist) -> dict[str, Revocation]:
    return {entry.value: entry for entry in follower.denylist}


def reload(follower: FollowedDenylist) -> FollowedDenylist:
    """The follower after a restart, from what its predecessor wrote to disk."""
    if follower.position is None:
        return follower
    feed = FeedSnapshot(
        position=follower.position,
        page_issued_at=follower.page_issued_at,
        resets=follower.resets,
        condemned=(),
        confirmed_at=float(T),
        denylist=follower.denylist.copy(),
    )
    text = b"".join(build_snapshot(Snapshot(issuer=ISSUER, jwks=None, feed=feed)))
    kept = parse_snapshot(text, issuer=ISSUER, now=T, leeway=0).feed
    assert kept is not None
    return FollowedDenylist(ISSUER, kept.denylist, kept.position, kept.page_issued_at, kept.resets)


def take(follower: FollowedDenylist, page: FeedPage, now: int) -> bool:
    before = copy.deepcopy(
        (set(follower.denylist), follower.position, follower.page_issued_at, follower.resets)
    )
    try:
        follower.apply(page, Kid("k"), now=float(now), leeway=0.0)
    except InvalidPageError:
        assert (
            set(follower.denylist),
            follower.position,
            follower.page_issued_at,
            follower.resets,
        ) == before
        return False
    return True


def catch_up(follower: FollowedDenylist, issuer: Issuer) -> None:
    if not take(follower, issuer.page(follower.position), issuer.now):
        assert take(follower, issuer.page(None), issuer.now)
    while follower.position != issuer.log.head:
        assert take(follower, issuer.page(follower.position), issuer.now)


@given(steps, st.data())
def test_a_follower_ends_with_all_that_is_in_force(walk, data):
    issuer, follower = Issuer(), FollowedDenylist(ISSUER)
    cursors: list[Position | None] = [None]
    pages: list[FeedPage] = []
    for step in walk:
        if step == "revoke":
            issuer.revoke(data.draw(st.sampled_from([15, 100, 720])))
        elif step == "time":
            issuer.now += data.draw(st.integers(1, 40))
            issuer.log.forget_expired(issuer.now)
        elif step == "restart":  # another process of the issuer, from the table
            assert issuer.log.head is not None
            issuer.log.reset(issuer.rows(), issuer.log.head)
        elif step == "reload":
            follower = reload(follower)
        elif step == "fail over":
            rows = issuer.rows()
            kept = rows[: data.draw(st.integers(0, len(rows)))]
            issuer.log.reset(kept, kept[-1].position if kept else Position(0, "t0"))
            issuer.now += 1
        elif step == "replay" and pages:
            take(follower, data.draw(st.sampled_from(pages)), issuer.now)
        elif step != "replay":
            places = {
                "poll": follower.position,
                "snapshot": None,
                "old cursor": data.draw(st.sampled_from(cursors)),
            }
            pages.append(issuer.page(places[step]))
            take(follower, pages[-1], issuer.now)
            cursors.append(follower.position)
    issuer.now += 1
    catch_up(follower, issuer)
    wanted = {record.revocation.value for record in issuer.rows()}
    assert wanted <= set(held(follower))
    assert follower.position == issuer.log.head


@given(st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_a_cut_from_any_cursor_gives_exactly_what_the_follower_lacks(count, seq, right_tag):
    issuer = Issuer()
    for _ in range(count):
        issuer.revoke(720)
    full, _, records = issuer.log.cut(Position(seq, f"t{seq}" if right_tag else "other"))
    known = right_tag and seq <= count
    assert full is not known
    assert [entry.value for entry in records.revocations()] == [
        f"j{number}" for number in range(seq + 1 if known else 1, count + 1)
    ]
