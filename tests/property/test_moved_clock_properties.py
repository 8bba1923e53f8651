"""Whatever the clocks do: limits of `iat` are ahead, pages are of use, and nothing is skipped."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from tokensvc.core.clock import TOLERANCE
from tokensvc.issuer.postgres_clock import PostgresClock
from tokensvc.issuer.revoking.page_date import date_page

START = 1_800_000_000.0
TICK = 0.5
TTL, LEEWAY = 60, 30
BELIEVED = TOLERANCE + 1  # a clock that is further off is wrong

which = st.sampled_from(["postgres", "postgres", "first", "second"])
ahead = st.one_of(st.just(0.0), st.floats(-80, 90), st.floats(-80, 3600))
steps = st.lists(
    st.tuples(which, ahead, st.sampled_from([None, None, None, "first", "second"])),
    min_size=1,
    max_size=12,
)


@dataclass
class World:
    """Three clocks that are moved, two processes, and the limit in the database."""

    on: float = 0.0
    ahead: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("postgres", "first", "second"), 0.0)
    )
    limit: datetime | None = None
    processes: dict[str, PostgresClock] = field(default_factory=dict)

    def start(self, name: str) -> None:
        self.processes[name] = PostgresClock(
            wall=lambda: START + self.on + self.ahead[name], monotonic=lambda: self.on
        )

    def refresh(self, name: str) -> PostgresClock:
        """Do what a mirror does with the clocks."""
        process = self.processes[name]
        asked, now = process.ask(), datetime.fromtimestamp(START + self.on + self.postgres, UTC)
        process.iat_limit.note_passed(self.limit, asked.on)
        process.read_clock(now, asked)
        process.renew(now, asked.on)
        known = process.iat_limit
        known.note_limit(self.limit, asked.on)
        wanted = known.find_wanted(now, is_believed=not process.is_blocked)
        if wanted is not None:
            self.limit = max(wanted, self.limit or wanted)
            known.note_limit(self.limit, asked.on)
        return process

    @property
    def postgres(self) -> float:
        return self.ahead["postgres"]


@given(steps)
def test_f26_f41_f42_pages_are_of_use_nothing_live_is_skipped_and_no_token_passes_the_limit(steps):
    world = World()
    for name in ("first", "second"):
        world.start(name)
        world.refresh(name)
    for clock, by, restarted in steps:
        world.ahead[clock] = by
        if restarted is not None:
            world.start(restarted)
        for _ in range(6):
            world.on += TICK
            for name in world.processes:
                process = world.refresh(name)
                if process.expected_at is not None:
                    process.check_counting()
                    latest = process.expected_at + timedelta(seconds=TOLERANCE)
                    assert world.limit is not None
                    assert latest <= world.limit
                    # Two clocks may agree on a wrong moment: then nothing tells that it is wrong.
                    assume(abs(world.postgres) <= BELIEVED)
                assert process.earliest.timestamp() <= START + world.on + BELIEVED
                date = date_page(process, TTL)
                assert date.issued_at <= START + world.on + LEEWAY
                assert date.expires_at > START + world.on - LEEWAY
