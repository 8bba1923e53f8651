"""The names of all settings, and which variables of the environment are none of ours."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from tokensvc.settings.all_settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG: Final = f"{PREFIX}CONFIG"
# What people set. Where the master key and the settings themselves lie is found out, not set.
FOUND_OUT: Final = frozenset({"is_credential", "sources"})
FIELDS: Final = tuple(name for name in Settings.model_fields if name not in FOUND_OUT)
# Settings whose value may lie in a file, which `*_FILE` names. The file of the master key is a
# setting of its own, because it is read again when the key is replaced.
IN_FILES: Final = ("database_url", "direct_database_url", "migration_database_url", "smtp_url")
# For commands that are sent to a service, and for clients.
_OF_COMMANDS: Final = ("URL", "PROFILE", "API_KEY", "API_KEY_FILE", "ALLOW_HTTP", "CONFIG")
_OF_SERVICE: Final = (
    *(f"{PREFIX}{name.upper()}" for name in FIELDS),
    *(f"{PREFIX}{name.upper()}_FILE" for name in IN_FILES),
)
_KNOWN: Final = frozenset((*_OF_SERVICE, *(f"{PREFIX}{name}" for name in _OF_COMMANDS)))
# Kubernetes tells each container of every service near it, in the way of Docker's links. One that
# is called tokensvc, or tokensvc-more, gives variables that look like settings.
_LINK: Final = re.compile(
    r"TOKENSVC_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINKED_PORT: Final = re.compile(r"(tcp|udp|sctp)://.*")


def is_link(name: str, value: str) -> bool:
    """Tell whether a variable was set by Kubernetes or Docker, for a service called tokensvc."""
    is_port = name.endswith("_PORT") and _LINKED_PORT.fullmatch(value) is not None
    return is_port or _LINK.fullmatch(name) is not None


def find_unknown(variables: Mapping[str, str]) -> str | None:
    """Return what is wrong with the first of `variables` that is no setting, None if all are."""
    for name in variables:
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, _OF_SERVICE, n=1)
            hint = f"did you mean {near[0]}?" if near else "`tokensvc settings` shows all"
            return f"{name[:80]} is no setting; {hint}"
    return None
