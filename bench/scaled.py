"""`python -m bench.scaled serve ...`: the command line, with rotations that take seconds.

Two durations are no settings and are made short here; all others come from the settings. It is for
measurements alone.
"""

from __future__ import annotations

from datetime import timedelta

from tokensvc.core import keyring

keyring.LEEWAY = timedelta(seconds=1)  # type: ignore[misc] # before anybody imports its value

from tokensvc.cli import main  # noqa: E402
from tokensvc.issuer import tasks  # noqa: E402

tasks.ROTATION_TICK = 0.1  # type: ignore[misc]

if __name__ == "__main__":
    main()
