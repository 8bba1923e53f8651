"""What a check has found."""

from __future__ import annotations

from typing import Literal, NamedTuple

# `note`: nothing is broken, and there is something to know. `unknown`: it could not be looked at.
State = Literal["ok", "note", "fault", "unknown"]


class Judgement(NamedTuple):
    """What is the case, why it matters, and the command or setting that mends it.

    The last two are empty if all is well.
    """

    state: State
    what: str
    why: str = ""
    way_out: str = ""


class Finding(NamedTuple):
    """A judgement, and the check that it is of."""

    check: str
    state: State
    what: str
    why: str
    way_out: str


def name_finding(check: str, judgement: Judgement) -> Finding:
    """Return the finding of a check."""
    return Finding(check, *judgement)
