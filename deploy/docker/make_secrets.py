"""Make what the containers must keep secret, once: the password of Postgres.

    python make_secrets.py SECRETS KEYS STATE

The arguments are folders. A second run changes nothing but owners.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Final

_SERVICE: Final = 65532  # the uid of the image


def main(secrets_folder: Path, keys: Path, state: Path) -> None:
    """Write the password and the URL that holds it, and give each folder to its reader."""
    password = secrets_folder / "postgres-password"
    if not password.exists():
        _write(password, secrets.token_urlsafe(32))
    url = f"postgresql://tokensvc:{password.read_text('ascii')}@postgres/tokensvc"
    _write(secrets_folder / "database-url", url)
    os.chown(secrets_folder / "database-url", _SERVICE, 0)
    for folder in (keys, state):
        os.chown(folder, _SERVICE, 0)


def _write(path: Path, text: str) -> None:
    path.write_text(text, "ascii")
    path.chmod(0o400)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
