"""Run the whole suite and hold it to its coverage: 100 % of branches in `core` and `verify`, 90 % of the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PURE = "src/tokensvc/core/*,src/tokensvc/verify/*"


def main() -> int:
    for variable in [
        name
        for name in os.environ
        if name.startswith("TOKENSVC_") and name != "TOKENSVC_POSTGRES_BIN_DIR"
    ]:
        del os.environ[variable]
    coverage = [sys.executable, "-m", "coverage"]
    _call(*coverage, "erase")
    failed = _call(*coverage, "run", "-m", "pytest", *sys.argv[1:])
    if failed or sys.argv[1:]:
        return failed
    _call(*coverage, "combine", "--quiet")
    print("\ncoverage of core and verify, 100 % demanded:")
    failed |= _call(*coverage, "report", f"--include={PURE}", "--fail-under=100")
    print("\ncoverage of the rest, 90 % demanded:")
    return failed | _call(*coverage, "report", f"--omit={PURE}", "--fail-under=90")


def _call(*command: str) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
