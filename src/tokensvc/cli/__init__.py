"""The command line: one module per noun; a command runs one operation and prints the answer.

Modules are imported only when they are needed, so `--help` answers quickly, and a command for a
service far away needs neither the database's driver nor the use cases (the extra `cli`).

    root     the tree of commands, and what becomes of errors
    run      every operation goes through here
    target   which service or database that is
    remote   over HTTP; host: on the database of this machine
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

from tokensvc.cli.surroundings import settle_home, settle_streams

_COLLECT_AFTER: Final = 50_000


def main() -> None:
    """Run the command line (`tokensvc`, `python -m tokensvc`)."""
    # What is imported stays, so Python should not look for garbage in it again and again, and not
    # at the end either. It takes a tenth of what a short command takes. The service has its own.
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    # pydantic would look through all installed packages for plugins at each start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from tokensvc.cli.root import root  # noqa: PLC0415 - the base install has no click

        settle_home()
        settle_streams()
        try:
            root(prog_name="tokensvc")
        finally:
            gc.freeze()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tokensvc"):
            raise
        extra = "cli" if error.name.partition(".")[0] in {"click", "pydantic"} else "server"
        sys.exit(
            f"tokensvc: this needs the {extra} extra ({error.name} is missing); "
            f"run: pip install 'tokensvc[{extra}]'"
            + (", or name a service with --url" if extra == "server" else "")
        )
