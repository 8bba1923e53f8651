"""The admin key of the first start: shown on a terminal, and written to a file elsewhere.

An output that is no terminal is most often a log, which is kept and which others read.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.cli.surroundings import is_printing_possible, say
from tokensvc.core.audience import OWN_AUDIENCE
from tokensvc.core.capability import ADMIN
from tokensvc.core.errors import StartRefusedError

if TYPE_CHECKING:
    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings

FILE_NAME: Final = "first-admin.key"
_NAME: Final = "tokensvc"


def show_first_admin(settings: Settings, admin: NewKey) -> None:
    """Show the key once. Raises StartRefusedError if nobody would see it."""
    if sys.stdout.isatty() and say(_greet(settings, admin)):
        return
    folders = settings.data_dir, settings.keys_dir
    path = next(filter(None, (_write(folder, admin.key.text) for folder in folders)), None)
    if path is not None:
        say(_point_to(settings, path))  # the key is in the file even if nothing can be printed
    elif not (is_printing_possible() and say(_greet(settings, admin))):
        raise StartRefusedError(
            "the first admin key cannot be shown: stdout takes nothing, and neither the folder "
            f"{folders[0]} nor {folders[1]} can be written to"
        )


def _write(folder: Path, key: str) -> Path | None:
    """Write the key into a file, mode 0600; return None if the folder cannot be written to."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a start that was killed: its key does not exist
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, how, 0o600), "w") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return None
    return path


def _point_to(settings: Settings, path: Path) -> str:
    return f"""\
This is the first start. An admin API key was made. This output is no terminal, so the key is in the
file {path}, which only this user can read. Move it to a safe place.

    export TOKENSVC_URL={settings.issuer_url} TOKENSVC_API_KEY="$(cat {path})"
    {name_program()} whoami
"""


def _greet(settings: Settings, admin: NewKey) -> str:
    url, key, key_id = settings.issuer_url, admin.key.text, admin.listed.record.id
    return f"""\
This is the first start. An admin API key was made. It is shown this once, so store it now:

    {key}

Try it in another terminal:

    curl -s -X POST {url}/v1/token -H 'Authorization: Bearer {key}' \\
        -d audience={OWN_AUDIENCE} -d scope={ADMIN}
    curl -s -X POST {url}/v1/token -u '{key_id}:{key}' \\
        -d grant_type=client_credentials -d audience={OWN_AUDIENCE} -d scope={ADMIN}
    curl -s {url}/.well-known/jwks.json
    curl -s '{url}/v1/denylist'

Next, here or on any machine (`--help` shows examples):

    export TOKENSVC_URL={url} TOKENSVC_API_KEY={key}
    {name_program()} account create NAME
"""


def name_program() -> str:
    """Return how a shell calls this program: by its path, unless it is found by its name."""
    called = Path(sys.argv[0])
    return str(called) if called.name == _NAME and shutil.which(_NAME) is None else _NAME
