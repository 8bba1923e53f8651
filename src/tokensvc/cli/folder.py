"""The folder of the service that a command is for: this one, or one above it, as git finds its own.

It is the one with the data of the embedded Postgres. The service itself and `init` take the folder
that they are started in, so that they never continue what lies above by accident.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tokensvc.settings.environment import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.settings import Settings


def load_command_settings() -> Settings:
    """Return the settings for a command. Raises StartRefusedError."""
    settings = load_settings()
    if settings.database_url is not None or "data_dir" in settings.sources:
        return settings
    here = Path.cwd()
    found = find_service_folder([here, *here.parents], settings.data_dir)
    if found is None or found == here:
        return settings
    places = {"data_dir": found / settings.data_dir}
    if "keys_dir" not in settings.sources:
        places["keys_dir"] = found / settings.keys_dir
    return settings.model_copy(update=places)


def find_service_folder(folders: Iterable[Path], data_dir: Path) -> Path | None:
    """Return the first of `folders` that has data, None if none has.

    Data of another user is passed over: otherwise somebody could plant a folder, and would be given
    whatever is typed here.
    """
    for folder in folders:
        try:
            owner = (folder / data_dir / "postgres-password").stat().st_uid
        except OSError:
            continue
        if owner in {0, os.geteuid()}:
            return folder
    return None
