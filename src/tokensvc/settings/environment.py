"""Reading the settings from the environment of the process, and from the files that it names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from tokensvc.core.errors import StartRefusedError
from tokensvc.settings.all_settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# The settings that `*_FILE` may give. The master key is another matter: its file is read when the
# key is needed.
_SECRETS: Final = {"database_url", "direct_database_url", "migration_database_url", "smtp_url"}
_CREDENTIAL: Final = "tokensvc-master-key"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in `environment`, by default that of the process.

    Raises StartRefusedError, which names the setting and never the value of a secret.
    """
    values = _read_values(os.environ if environment is None else environment)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise StartRefusedError(
            "; ".join(_explain(dict(e)) for e in error.errors(include_input=False))
        ) from error


def _read_values(environment: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for name in Settings.model_fields:
        variable = (PREFIX + name).upper()
        path = environment.get(variable + "_FILE")
        if name in _SECRETS and path:
            if variable in environment:
                raise StartRefusedError(
                    f"{variable} and {variable}_FILE contradict each other: set only one of them"
                )
            values[name] = _read_file(variable + "_FILE", path)
        elif environment.get(variable):
            values[name] = environment[variable]
    return _add_credential(values, environment)


def _add_credential(values: dict[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Name the master key in systemd's credential folder if no setting names another one.

    The unit has it there by `LoadCredential=tokensvc-master-key:...`.
    """
    if "master_key" in values and "master_key_file" in values:
        raise StartRefusedError(
            "TOKENSVC_MASTER_KEY and TOKENSVC_MASTER_KEY_FILE contradict each other: "
            "set only one of them"
        )
    values.pop("is_credential", None)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and not {"master_key", "master_key_file"} & values.keys():
        path = Path(folder) / _CREDENTIAL
        if path.is_file():
            return {**values, "master_key_file": str(path), "is_credential": "true"}
    return values


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefusedError(f"{variable}: cannot read {path}") from error


def _explain(error: dict[str, object]) -> str:
    """Return one of pydantic's errors in the words of an operator."""
    location = error["loc"]
    name = f"{PREFIX}{location[0]}".upper() if isinstance(location, tuple) and location else ""
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {text}" if name else text
