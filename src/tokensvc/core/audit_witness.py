"""A witness of the audit trail: it keeps what the issuer has said, and compares what it says later.

Each hash covers all events before it. So anybody who changes or cuts off an event that lies behind
a known hash must say another hash for a known number, or end the trail before it. A declared reset
(another `epoch`) is kept as an event and is no alarm.

Not here: whether the events fit to their hashes (`core/audit_chain.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.audit_claim import SAID_BYTES, check_epoch, check_number, parse_claim
from tokensvc.core.denylist.revocation import check_moment, check_type

if TYPE_CHECKING:
    from tokensvc.core.audit_claim import AuditClaim
    from tokensvc.core.audit_event import AuditHead

# Bounds of the memory. What is over them is forgotten, oldest first; too many questions are not
# asked, and the next page raises them again.
MOST_HEADS: Final = 1000
_MOST_QUESTIONS: Final = 8
_MOST_RESETS: Final = 16
# Replicas read the table at different moments. So a page that was issued up to this many seconds
# after another one may still name an older head.
_REPLICA_SKEW: Final = 5


class DeclaredReset(NamedTuple):
    """The trail has a new epoch. `before` was the newest event known, `after` the first one said.

    `epoch` is the one that has ended.
    """

    epoch: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHeadStatus:
    """What a follower knows of the issuer's audit trail.

    `number`, `hash` (hex) and `epoch`: of the newest event that it has been told of. `age`: seconds
    since the issuer last said anything of its trail. `problem`: what contradicts an earlier claim;
    None if nothing does. It stays until a reset is declared. `resets`: the declared ones.
    """

    number: int
    hash: str
    epoch: str
    age: float
    problem: str | None
    resets: tuple[DeclaredReset, ...]


class Witness:
    """Keeps the hashes that the issuer has said for the newest `most` numbers.

    `questions`: numbers of events that the caller must ask the issuer for, because no later claim
    has repeated their hashes.
    """

    def __init__(self, *, most: int = MOST_HEADS) -> None:
        self._most = most
        self.head: AuditHead | None = None  # the newest
        self.seen_at = 0  # when the page was issued that said it
        self.heads: dict[int, bytes] = {}
        self.problem: str | None = None
        self.resets: deque[DeclaredReset] = deque(maxlen=_MOST_RESETS)
        self.questions: list[int] = []

    def compare(self, claim: AuditClaim, issued_at: int, *, asked: int | None = None) -> str | None:
        """Take in a claim, and return what is wrong with it, the first time that anything is.

        `issued_at`: seconds since 1970. `asked`: the claim is the answer to that question.
        """
        if self.head is None:
            self.head, self.seen_at = claim.head, issued_at
        # A page that is late may be honest and only older than the one before. Then the issuer is
        # asked, and nothing is noted yet.
        is_late = issued_at <= self.seen_at + _REPLICA_SKEW
        if claim.head.epoch != self.head.epoch:
            if not self._is_ended(claim.head.epoch):
                self._begin_epoch(self.head, claim, issued_at)
            elif is_late:
                self._ask(self.head.number)
                return None
            else:
                return self._note("an epoch has come back that a declared reset had ended")
        said: dict[int, bytes | None] = {**claim.earlier, claim.head.number: claim.head.hash}
        problem = self._judge(claim.head.number, said, asked, is_late=is_late)
        self.questions = [at for at in self.questions if at not in said and at != asked]
        # After a problem nothing is learned: what was seen before is the evidence. Nor is anything
        # learned from an answer: it may be newer than the next page, which would then look as if
        # the trail had been cut off.
        if self.problem is None and asked is None:
            self._learn(claim.head, said, issued_at)
        return problem

    def _judge(
        self, number: int, said: dict[int, bytes | None], asked: int | None, *, is_late: bool
    ) -> str | None:
        for at in sorted(self.heads.keys() & said.keys()):
            hash_ = said[at]
            if hash_ is None:
                return self._note(f"event {at} is missing, which was there before")
            if hash_[:SAID_BYTES] != self.heads[at]:
                return self._note(f"event {at} has another hash than before")
        # A trail only grows, so it must reach the newest number that is known of it.
        newest = max(self.heads, default=0)
        # A page that came meanwhile may know a later head than this answer. So an answer must only
        # reach the event that was asked for.
        must_reach = newest if asked is None else min(asked, newest)
        if number >= must_reach:
            return None
        # The page may come from a replica that has read the table earlier: the answer will tell.
        if asked is None and is_late:
            self._ask(newest)
            return None
        return self._note(
            f"the trail ends at event {number}, and reached event {must_reach} before"
        )

    def _learn(self, head: AuditHead, said: dict[int, bytes | None], issued_at: int) -> None:
        newest = max(self.heads, default=0)
        # Unless the newest known hash is repeated, the trail may have been cut off and continued.
        if newest and newest not in said:
            self._ask(newest)
        if head.number >= newest:
            self.head, self.seen_at = head, issued_at
        for at, hash_ in said.items():
            if hash_ is not None and at:
                self.heads.setdefault(at, hash_[:SAID_BYTES])
        if len(self.heads) > self._most:
            for at in sorted(self.heads)[: -self._most]:
                del self.heads[at]

    def _is_ended(self, epoch: str) -> bool:
        return any(reset.epoch == epoch for reset in self.resets)

    def _begin_epoch(self, before: AuditHead, claim: AuditClaim, issued_at: int) -> None:
        self.resets.append(DeclaredReset(before.epoch, before.number, claim.head.number))
        self.head, self.seen_at = claim.head, issued_at
        self.heads, self.questions, self.problem = {}, [], None

    def _ask(self, number: int) -> None:
        if number not in self.questions and len(self.questions) < _MOST_QUESTIONS:
            self.questions.append(number)

    def _note(self, problem: str) -> str | None:
        if self.problem is not None:
            return None
        self.problem = problem
        return problem


def build_witness(witness: Witness) -> dict[str, Any] | None:
    """Return what a witness keeps, as a JSON object; None if it has seen nothing."""
    if witness.head is None:
        return None
    number, hash_, epoch = witness.head
    return {
        "epoch": epoch,
        "number": number,
        "hash": hash_.hex(),
        "seen_at": witness.seen_at,
        "problem": witness.problem,
        "resets": [list(reset) for reset in witness.resets],
        "heads": {str(at): said.hex() for at, said in sorted(witness.heads.items())},
    }


def parse_witness(kept: Any) -> Witness:  # noqa: ANN401 - whatever JSON holds
    """Return the witness that a JSON value holds. Raises ValueError for any other value."""
    try:
        return Witness() if kept is None else _parse_witness(kept)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("this is no witness of an audit trail") from error


def _parse_witness(kept: Any) -> Witness:  # noqa: ANN401 - whatever JSON holds
    # Its head and the hashes have the form and the bounds of a claim.
    claim = parse_claim({**kept, "earlier": kept["heads"]})
    witness = Witness()
    witness.head, witness.seen_at = claim.head, check_moment(kept["seen_at"])
    witness.heads = {at: check_type(said, bytes) for at, said in claim.earlier.items()}
    if kept["problem"] is not None:
        witness.problem = check_type(kept["problem"], str)
    for epoch, before, after in kept["resets"]:
        reset = DeclaredReset(check_epoch(epoch), check_number(before), check_number(after))
        witness.resets.append(reset)
    return witness
