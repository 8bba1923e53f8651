"""Reading the settings: from the environment, from a file, and from the files that these name.

The environment goes before the file that TOKENSVC_CONFIG names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import ValidationError

from tokensvc.core.decoding import decode_text
from tokensvc.core.errors import StartRefusedError
from tokensvc.settings.all_settings import PREFIX, Settings
from tokensvc.settings.names import CONFIG, FIELDS, IN_FILES, find_unknown, is_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENVIRONMENT: Final = "environment"
_CREDENTIAL: Final = "tokensvc-master-key"


class Given(NamedTuple):
    """A value, and where it comes from: the environment, or the path of a file."""

    value: str
    source: str


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in `environment`, by default that of the process.

    Raises StartRefusedError, which names the setting and never the value of a secret.
    """
    given = _read_fields(_gather(os.environ if environment is None else environment))
    folder = (os.environ if environment is None else environment).get("CREDENTIALS_DIRECTORY")
    given = _add_credential(given, folder)
    sources = {name: one.source for name, one in given.items()}
    values = {name: one.value for name, one in given.items()}
    try:
        return Settings.model_validate({**values, "sources": sources})
    except ValidationError as error:
        # What was given may be a secret.
        faults = error.errors(include_input=False)
        raise StartRefusedError("; ".join(_explain(dict(e), sources) for e in faults)) from error


def read_again(variable: str) -> str:
    """Return what a setting is now, read from where it comes from. Raises StartRefusedError."""
    given = _read_fields(_gather(os.environ)).get(variable.removeprefix(PREFIX).lower())
    if given is None:
        raise StartRefusedError(f"{variable} is not set any more")
    return given.value


def _gather(environment: Mapping[str, str]) -> dict[str, Given]:
    """Return all that is set, by the names of the variables. What is empty is not set.

    Raises StartRefusedError for a name that is not that of a setting.
    """
    ours = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value and not is_link(name, value)
    }
    _check_names(ours)
    given = {name: Given(value, ENVIRONMENT) for name, value in ours.items()}
    path = ours.get(CONFIG)
    for name, value in ({} if path is None else _read_config(path)).items():
        if name not in ours and _twin_of(name) not in ours:
            given[name] = Given(value, str(path))
    return given


def _twin_of(name: str) -> str:
    """Return the variable that gives the same setting in the other way."""
    return name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"


def _check_names(variables: Mapping[str, str], where: str = "") -> None:
    wrong = find_unknown(variables)
    if wrong is not None:
        raise StartRefusedError(f"{where}{wrong}")


def _read_config(path: str) -> dict[str, str]:
    """Return what a file sets, as variables: `token_ttl = 300` is TOKENSVC_TOKEN_TTL."""
    import tomllib  # noqa: PLC0415 - few have such a file

    try:
        content = tomllib.loads(_read_file(CONFIG, path))
    except tomllib.TOMLDecodeError as error:
        raise StartRefusedError(f"{CONFIG}: {path} is no TOML: {error}") from error
    variables = {}
    for key, value in content.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise StartRefusedError(f"{CONFIG}: in {path}, {key[:80]!r} must be a text or a number")
        variables[f"{PREFIX}{key.upper()}"] = str(value)
    _check_names(variables, f"in {path}, ")
    return variables


def _read_fields(given: Mapping[str, Given]) -> dict[str, Given]:
    """Return the values by their fields; what lies in a file is read."""
    values = {}
    for name in FIELDS:
        variable = f"{PREFIX}{name}".upper()
        file = given.get(f"{variable}_FILE") if name in IN_FILES else None
        if file is not None:
            _check_one_is_given(given, variable)
            text = _read_file(f"{variable}_FILE", file.value).strip()
            if not text:
                raise StartRefusedError(f"{variable}_FILE: {file.value} is empty")
            values[name] = Given(text, file.value)
        elif variable in given:
            values[name] = given[variable]
    _check_one_is_given(given, f"{PREFIX}MASTER_KEY")
    return values


def _check_one_is_given(given: Iterable[str], variable: str) -> None:
    if {variable, f"{variable}_FILE"} <= set(given):
        raise StartRefusedError(
            f"{variable} and {variable}_FILE contradict each other: set only one of them"
        )


def _add_credential(given: dict[str, Given], folder: str | None) -> dict[str, Given]:
    """Name the master key in systemd's credential folder if no setting names another one.

    The unit has it there by `LoadCredential=tokensvc-master-key:...`.
    """
    if folder and not {"master_key", "master_key_file"} & given.keys():
        path = Path(folder) / _CREDENTIAL
        if path.is_file():
            found = {"master_key_file": str(path), "is_credential": "true"}
            return given | {name: Given(value, folder) for name, value in found.items()}
    return given


def _read_file(variable: str, path: str) -> str:
    try:
        return decode_text(Path(path).read_bytes())
    except OSError as error:
        raise StartRefusedError(f"{variable}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartRefusedError(f"{variable}: cannot read {path}: it is no text") from error


def _explain(error: dict[str, object], sources: Mapping[str, str]) -> str:
    """Return one of pydantic's errors in the words of an operator."""
    location = error["loc"]
    text = str(error["msg"]).removeprefix("Value error, ")
    if not isinstance(location, tuple) or not location:
        return text
    source = sources.get(str(location[0]), ENVIRONMENT)
    where = "" if source == ENVIRONMENT else f" (from {source})"
    return f"{f'{PREFIX}{location[0]}'.upper()}{where}: {text}"
