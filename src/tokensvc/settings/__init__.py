"""Settings: `TOKENSVC_*` environment variables, checked against each other at the start.

A secret may also lie in a file that `*_FILE` names. `docs/operations.md` has a table of all
settings, which a test compares with `Settings`.
"""

from __future__ import annotations

from tokensvc.settings.all_settings import Settings
from tokensvc.settings.environment import load_settings

__all__ = ["Settings", "load_settings"]
