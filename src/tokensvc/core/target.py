"""Which audience a token is for, and why it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import InvalidTargetError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_NAMED: Final = 5  # in a refusal


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


def refuse_wrong_audience(choice: Sequence[str] | None) -> InvalidTargetError:
    """Return the refusal of an audience that the key may not ask for.

    `choice`: the list of the key if the request names none; else None.
    """
    if choice is None:
        message = "this key may not ask for that audience"
    else:
        more = " ..." if len(choice) > _MOST_NAMED else ""
        message = (
            "audience must be named: the default is none of those of this key "
            f"({' '.join(choice[:_MOST_NAMED])}{more})"
        )
    return InvalidTargetError(message, reason="wrong_audience")
