"""Networks that are refused again and again, whatever for: they wait for their refusals.

A refusal takes about as much work as a token. A limit on tokens, a checksum in keys and a list of
paths would be of little use to others if a client could be refused as often as it likes. So once a
network (/24 or /48), or all networks together, have been refused many times in a minute, refusals
come a second late, or a little more. Nothing else does: a request that is granted never waits here,
whatever others in its network do.

A refusal that does not say what is wrong with a credential must not tell it by its time either. It
always comes at the same moment after the request, some 25 ms later. So nobody learns which keys
exist: to look for a key that never existed takes another time than to judge one that is disabled.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tokensvc.issuer.exchange.late_answers import LateAnswers, build_flood_answers
from tokensvc.issuer.exchange.network_counts import NetworkCounts
from tokensvc.issuer.metrics import LATE_REFUSALS
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_SILENT_PAUSE: Final = 0.025
# So many times the limit of one network are allowed to all of them together.
_NETWORKS: Final = 10

_log = get_logger(__name__)


class LateRefusals:
    """Counts refusals; `allowed` of a network in a minute are answered at once.

    `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        allowed: int,
        late_answers: LateAnswers | None = None,
        silent_answers: LateAnswers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = allowed
        self._late_answers = late_answers or build_flood_answers(clock=clock)
        self._silent_answers = silent_answers or LateAnswers(pause=_SILENT_PAUSE, clock=clock)
        self._counts = NetworkCounts(clock=clock)

    def hold(
        self, network: str, asked_on: float, *, is_silent: bool, is_late: bool
    ) -> Awaitable[None] | None:
        """Count a refusal; return what is over when it may be answered, None if it may be at once.

        `asked_on`: when the request came. `is_silent`: it does not say what is wrong with the
        credential. `is_late`: as in TokensvcError. To wait raises UnavailableError if too many are
        held.
        """
        number = self._counts.add(network)
        if not (
            is_late
            or self._counts.has_reached(self._allowed, network)
            or self._counts.have_all_reached(_NETWORKS * self._allowed)
        ):
            return self._silent_answers.hold(asked_on) if is_silent else None
        if number == self._allowed:
            _log.warning("network_refused_often", network=network, refused=number)
        LATE_REFUSALS.inc()
        return self._late_answers.hold(asked_on)
