"""What a process imports is memory of every worker, whether it is used or not."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_that_serves_by_itself_imports_no_console_and_no_gunicorn():
    code = (
        "import sys, tokensvc.cli.serve, tokensvc.web.server, tokensvc.web.app\n"
        "import tokensvc.logs.configuration\n"
        "print(*sys.modules)\n"
        "import rich"  # what was kept away from structlog is there for others
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"structlog", "uvloop"} <= loaded
    assert not loaded & {"rich", "pygments", "gunicorn", "aiohttp.worker"}
