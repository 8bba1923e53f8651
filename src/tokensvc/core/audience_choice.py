"""Which audience a token is for, and why it is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import InvalidTargetError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_NAMED: Final = 5  # in a refusal
_MOST_SHOWN: Final = 255  # as long as the name of an audience may be
_NAME: Final = re.compile(r"[!#-\[\]-~]+")  # visible ASCII without quotation marks and backslashes


def choose_audience(
    asked: str | None, held: str | None, default: str, allowed: Sequence[str] | None
) -> str:
    """Return the name of the audience that a request is for.

    It is the one that is asked for. If none is, a token that is shown keeps its own (`held`), and a
    key gets the default, or the only one that it may ask for. `allowed`: the list of the key, as
    far as it is known.
    """
    if asked is not None:
        return asked
    if held is not None:
        return held
    # Of several, the service picks none for the client: Postgres refuses the default, and the
    # refusal tells the client to name one.
    if not allowed or default in allowed or len(allowed) > 1:
        return default
    return allowed[0]


def refuse_other_audience() -> InvalidTargetError:
    """Return the refusal to make a token for one audience from a token for another."""
    return InvalidTargetError(
        "a token that is made from another token keeps its audience; to name another one, "
        "authenticate as the API key that the subject_token belongs to",
        reason="other_audience",
    )


def refuse_unknown_audience(asked: str | None) -> InvalidTargetError:
    """Return the refusal of an audience that does not exist; None if the default one does not."""
    if asked is None:
        return InvalidTargetError("the default audience does not exist: name another one")
    return InvalidTargetError(f"unknown audience{_name(asked)}")


def refuse_wrong_audience(asked: str | None, choice: Sequence[str] | None) -> InvalidTargetError:
    """Return the refusal of an audience that the key may not ask for.

    `asked`: what the request names. `choice`: the list of the key if it names none; else None.
    """
    if choice is None:
        message = f"this key may not ask for that audience{_name(asked)}"
    else:
        more = " ..." if len(choice) > _MOST_NAMED else ""
        message = (
            "audience must be named: the default is none of those of this key "
            f"({' '.join(choice[:_MOST_NAMED])}{more})"
        )
    return InvalidTargetError(message, reason="wrong_audience")


def _name(asked: str | None) -> str:
    """Return what was asked for, if it may stand in an answer (RFC 6749 section 5.2)."""
    if asked is None or len(asked) > _MOST_SHOWN or not _NAME.fullmatch(asked):
        return ""
    return f": {asked}"
