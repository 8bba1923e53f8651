"""The command line: one module per noun; a command calls one use case and prints the result.

Modules are imported only when they are needed, so `--help` answers quickly.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line (`tokensvc`, `python -m tokensvc`)."""
    try:
        from tokensvc.cli.root import root  # noqa: PLC0415 - the base install has no click
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tokensvc"):
            raise
        sys.exit(
            f"tokensvc: the command line needs the server extra ({error.name} is missing); "
            "run: pip install 'tokensvc[server]'"
        )
    root(prog_name="tokensvc")
