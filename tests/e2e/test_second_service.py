"""A second service in the same folder."""

from __future__ import annotations

from testbed.processes import run_cli


def test_it_finds_the_port_taken_and_disturbs_nobody(new_process):
    process = new_process()
    process.wait_until_ready()
    second = run_cli("serve", cwd=process.folder, TOKENSVC_PORT=str(process.port))
    assert (second.returncode, second.stdout) == (1, "")
    (line,) = second.stderr.splitlines()
    assert line.startswith("tokensvc: ")
    assert "TOKENSVC_PORT" in line
    assert process.cli("account", "list").returncode == 0
    assert process.is_ready()
