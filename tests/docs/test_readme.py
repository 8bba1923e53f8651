"""The README's walkthrough, run as it is written (on a free port instead of 8080)."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from testbed.ports import find_free_port
from testbed.processes import EXECUTABLE, clean_environment

ROOT = Path(__file__).parent.parent.parent
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
    for action, commands in STEP.findall((ROOT / "README.md").read_text()):
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


class Shell:
    """One bash for the walkthrough, as in a reader's terminal. A command that fails ends it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "-eu"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, commands: str) -> str:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{commands}\necho; echo {END}\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.strip() == END:
                return "".join(lines[:-1]) if lines and lines[-1] == "\n" else "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended in:\n{commands}\n{''.join(lines)}")

    def close(self) -> None:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.close()
        self._bash.wait(10)
        self._bash.stdout.close()
