"""Run `tokensvc init`, and keep the first admin's API key in a file that its owner alone can read.

python first_admin.py FILE

The key is shown this once by `tokensvc init`, so that it must not go to a log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def main(path: Path) -> int:
    """Return the exit code of `tokensvc init`."""
    # Made before the key is, so that a folder that cannot be written loses no key.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        done = subprocess.run(
            ["tokensvc", "init", "-o", "json"],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode == 0 and "key" in (answer := json.loads(done.stdout)):
            file.write(answer["key"] + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
