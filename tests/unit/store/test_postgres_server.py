"""How a server of Postgres is stopped, shown with a process that takes its place."""

from __future__ import annotations

import os
import subprocess

import pytest
from testbed.waiting import wait_until

from tokensvc.store.postgres_home import Home
from tokensvc.store.postgres_server import PostgresServer

_SCRIPT = """
trap '' INT
trap '%s' QUIT
echo $$ > postmaster.pid
while :; do sleep 0.02; done
"""


@pytest.mark.parametrize(
    ("on_quit", "patience", "ends"),
    [("rm postmaster.pid; exit", 1.0, True), ("", 0.1, False)],
    ids=["it ends", "it does not even listen to that"],
)
def test_a_server_that_stops_slowly_is_told_to_end_at_once(tmp_path, logs, on_quit, patience, ends):
    home = Home(folder=tmp_path, uid=os.geteuid(), gid=os.getegid())
    home.data.mkdir()
    server = PostgresServer(home, tmp_path / "log", patience=patience)
    with subprocess.Popen(["/bin/sh", "-c", _SCRIPT % on_quit], cwd=home.data) as child:
        try:
            wait_until(lambda: server.process_id is not None)
            server.shut_down()
            assert (server.process_id is None) is ends
        finally:
            child.kill()
    assert len(logs.find("postgres_stops_slowly")) == 1
    assert len(logs.find("postgres_still_runs")) == (not ends)
