"""Keeping floods of guesses and of dead credentials away from everybody else.

155 random bits cannot be guessed. What a flood of guesses costs is time, Postgres's and ours. So
when a network (/24 or /48), or all networks together, have shown many credentials that were refused
lately, or when many keys at once are new to this process, their requests take two detours:

- A key that this process does not know to be good waits in the slow lane, until a cheap query has
  told whether it exists. If it does, it goes on to the ledger, some 20 ms later than usual. It is
  never refused for what others in its network do.
- A refusal comes late, at a random moment that is the same draw whether the key never existed, or
  has been disabled, revoked or deleted. So a client that waits for answers cannot ask often, and
  nobody learns from the time which keys exist.

Nothing is decided about a key here. Each process counts by itself, in bounded memory. Keys with a
wrong checksum never come this far.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar

from tokensvc.core.errors import InvalidClientError, InvalidSubjectTokenError
from tokensvc.issuer.exchange.network_counts import NetworkCounts
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.core.ledger import Decision, Question
    from tokensvc.issuer.exchange.late_answers import LateAnswers
    from tokensvc.issuer.exchange.ledger import Ledger
    from tokensvc.issuer.exchange.slow_lane import SlowLane

# The key is good, only what it asks for is not.
_REFUSALS_OF_GOOD_KEYS: Final = frozenset(
    {None, "invalid_scope", "unnamed_scope", "invalid_target", "wrong_audience"}
)
# So many times the limit of one network are allowed to all of them together.
_NETWORKS: Final = 10
# The answer to these names no reason, so it must not tell one by its time either.
_REFUSED_CREDENTIAL: Final = (InvalidClientError, InvalidSubjectTokenError)

_log = get_logger(__name__)

_T = TypeVar("_T")


class GuessGuard:
    """The way to the ledger. `allowed` refused credentials of a network in a minute change nothing.

    The memory holds twice `most_known` keys. `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        lane: SlowLane,
        late_answers: LateAnswers,
        *,
        allowed: int,
        most_networks: int = 20_000,
        most_known: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._lane = lane
        self._late_answers = late_answers
        self._allowed = allowed
        self._most_known = most_known
        self._clock = clock
        self._refused = NetworkCounts(most_networks=most_networks, clock=clock)
        self._new_keys: Counter[bytes] = Counter()  # that are at the ledger now, and how often
        # The keys of a dict, because a large set takes four times the memory when it grows.
        self._known: dict[bytes, None] = {}
        self._known_before: dict[bytes, None] = {}

    def let_through(
        self,
        question: Question,
        network: str,
        act: Callable[[Decision | None], _T],
        arrived_on: float,
    ) -> Awaitable[_T]:
        """Return, or raise, what `act` makes of the decision, as `Ledger.join_batch` does.

        What refuses a credential may be marked as `is_late`. `network`: where the client is. `act`
        calls `note`. `arrived_on`: when the request came, by the monotonic clock. From then on, the
        detours and the ledger together take no longer than the ledger may take alone.
        """
        digest = question.digest
        # A good key takes no detour, whatever others in its network do.
        if digest is not None and self.knows(digest):
            return self._ledger.join_batch(question, act, arrived_on)
        # Many keys at once that nobody here knows are a crowd of guesses, whatever their networks.
        is_one_more = digest not in self._new_keys
        if self.suspects(network) or (is_one_more and len(self._new_keys) >= self._allowed):
            return self._let_through_late(question, act, arrived_on)
        if digest is None:
            return self._ledger.join_batch(question, act, arrived_on)
        return self._let_new_key_through(digest, question, act, arrived_on)

    async def _let_new_key_through(
        self,
        digest: bytes,
        question: Question,
        act: Callable[[Decision | None], _T],
        arrived_on: float,
    ) -> _T:
        # A crowd that shows one key is no crowd of guesses: Postgres is asked about the key once.
        self._new_keys[digest] += 1
        try:
            return await self._ledger.join_batch(question, act, arrived_on)
        finally:
            self._new_keys[digest] -= 1
            if not self._new_keys[digest]:
                del self._new_keys[digest]

    async def _let_through_late(
        self, question: Question, act: Callable[[Decision | None], _T], arrived_on: float
    ) -> _T:
        try:
            digest = question.digest
            if digest is not None and not await self._lane.exists(digest, arrived_on):
                return act(None)
            return await self._ledger.join_batch(question, act, arrived_on)
        except _REFUSED_CREDENTIAL as error:
            # It waits where it is answered. If it waited here, all that was needed to judge the
            # request would stay in memory meanwhile, and a flood waits for thousands of answers.
            error.is_late = True
            raise

    async def ask(
        self, digest: bytes, network: str, act: Callable[[], Awaitable[_T]], *, otherwise: _T
    ) -> _T:
        """Return what `act` returns, or `otherwise` if it is found out that there is no such key.

        Of a network that is suspected, both come late. Raises UnavailableError.
        """
        if self.knows(digest) or not self.suspects(network):
            return await act()
        # Before the question, so that the moment of the answer does not tell how long it took.
        asked_on = self._clock()
        result = await act() if await self._lane.exists(digest) else otherwise
        await self._late_answers.hold(asked_on)
        return result

    async def hold(self, network: str) -> None:
        """Let an answer to a network that is suspected come late. Raises UnavailableError."""
        if self.suspects(network):
            await self._late_answers.hold(self._clock())

    def note(self, question: Question, network: str, decision: Decision | None) -> None:
        """Remember a key that is good, and count a credential that is refused."""
        refusal = "unknown_key" if decision is None else decision.verdict.refusal
        if refusal == "facts_missing":
            return  # nothing is decided yet
        if refusal in _REFUSALS_OF_GOOD_KEYS:
            if question.digest is not None:
                self.note_known(question.digest)
            return
        self.note_refused(network)
        if question.digest is not None:
            self.forget(question.digest)

    def note_refused(self, network: str) -> None:
        """Count one credential that was refused."""
        if self._refused.add(network) == self._allowed:
            _log.warning("network_suspected", network=network, refused=self._allowed)

    def note_known(self, digest: bytes) -> None:
        """Remember a key that may get tokens.

        There are two generations; when the younger one is full, the elder one is forgotten.
        """
        if digest not in self._known:
            if len(self._known) >= self._most_known:
                self._known_before, self._known = self._known, {}
            self._known[digest] = None

    def forget(self, digest: bytes) -> None:
        """Forget a key that may get no tokens any more."""
        self._known.pop(digest, None)
        self._known_before.pop(digest, None)

    def knows(self, digest: bytes) -> bool:
        """Tell whether this key is remembered to be good."""
        return digest in self._known or digest in self._known_before

    def suspects(self, network: str) -> bool:
        """Tell whether a network, or all of them, have shown many refused credentials lately."""
        return self._refused.has_reached(self._allowed, network) or self._refused.have_all_reached(
            _NETWORKS * self._allowed
        )

    async def close(self) -> None:
        """Stop the slow lane."""
        await self._lane.close()
