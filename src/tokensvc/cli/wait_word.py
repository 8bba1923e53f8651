"""How `--wait` is read: a number belongs to it only after an equals sign.

Otherwise `--wait KEY_ID` would take the id for a number of seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_SECONDS: Final = 10


def spell_out_wait(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with `--wait=10` for each bare `--wait`."""
    return [f"--wait={DEFAULT_SECONDS}" if text == "--wait" else text for text in arguments]
