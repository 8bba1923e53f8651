"""The README's walkthrough, run as it is written (on a free port instead of 8080)."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import termios
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from testbed.ports import find_free_port
from testbed.processes import EXECUTABLE, clean_environment
from testbed.waiting import PATIENCE

from tokensvc.verify.testing import FakeIssuer

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
STEP = re.compile(r"^<!-- (stop|start) -->$|^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "end-of-step"


def test_the_walkthrough_does_what_it_says(new_process):
    port = str(find_free_port())
    service = new_process(TOKENSVC_PORT=port)
    service.wait_until_ready()
    environment = clean_environment() | {
        "TOKENSVC_PORT": port,
        "PATH": f"{EXECUTABLE.parent}:/usr/local/bin:/usr/bin:/bin",
    }
    shell = Shell(service.folder, environment)
    outputs = []
    for action, commands in STEP.findall(README):
        if action == "stop":
            service.send(signal.SIGINT)
            assert service.wait() == 0
        elif action == "start":
            service.start()
            service.wait_until_ready()
        else:
            typed = commands.replace("8080", port).replace("tsk-...", service.admin_key)
            outputs.append(shell.run(typed))
    shell.close()

    asked, _, exchanged, offline, revoked, rotated, key_revoked = outputs
    assert "tokensvc:admin" in asked
    assert '"scope": "orders:read"' in exchanged
    assert "orders:read" in offline
    assert revoked.endswith("refused\n")
    assert "(revoked_jti)" in revoked
    kids = re.findall(r'"kid": "([^"]+)"', rotated)
    assert len(set(kids)) == 2
    assert "refused" not in rotated
    assert "(revoked_key)" in key_revoked
    assert '"error": "invalid_client"' in key_revoked
    assert service.output.count("This is the first start") == 1


async def test_the_service_lets_pass_who_has_the_capability():
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    issuer = FakeIssuer()
    served: dict[str, Any] = {"__name__": "service", "issuer": issuer}
    made = 'Verifier(issuer="http://127.0.0.1:8080", audience="api")'
    assert made in code
    exec(code.replace(made, "issuer.verifier()").replace("web.run_app(app, ", "dict("), served)
    async with TestClient(TestServer(served["app"])) as service:

        async def status_of(scope: str) -> int:
            headers = {"Authorization": f"Bearer {issuer.token(scope=scope)}"}
            return (await service.get("/orders", headers=headers)).status

        assert await status_of("orders:read") == 200
        assert await status_of("orders:write") == 403
        assert (await service.get("/orders")).status == 401


class Shell:
    """One bash for the walkthrough, on a terminal of its own into which a reader pastes.

    A command that fails ends it. A command that asks eats the lines after it.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._terminal, its = pty.openpty()
        modes = termios.tcgetattr(its)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(its, termios.TCSANOW, modes)
        self._bash = subprocess.Popen(
            ["bash", "-eu", "/dev/stdin"],
            cwd=folder,
            env=environment,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)

    def run(self, commands: str) -> str:
        os.write(self._terminal, f"{commands}\necho; echo {END}\n".encode())
        printed = ""
        while not printed.endswith(f"\n{END}\n"):
            ready, _, _ = select.select([self._terminal], [], [], 2 * PATIENCE)
            assert ready, f"nothing is printed any more in:\n{commands}\n{printed}"
            try:
                printed += os.read(self._terminal, 65536).decode()
            except OSError as error:  # the other end is closed
                message = f"the shell ended in:\n{commands}\n{printed}"
                raise AssertionError(message) from error
        return printed.removesuffix(f"\n{END}\n")

    def close(self) -> None:
        os.write(self._terminal, b"exit\n")
        self._bash.wait(PATIENCE)
        os.close(self._terminal)
