"""How a server of Postgres is stopped, shown with a process that takes its place."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from testbed.waiting import wait_until

from tokensvc.store.postgres_home import Home
from tokensvc.store.postgres_server import PostgresServer

# No shell: it could not trap what the tests themselves were told to ignore, as a job in the
# background is.
_SCRIPT = """
import os, pathlib, signal, sys, time

def end(*_):
    file.unlink()
    os._exit(0)

file = pathlib.Path("postmaster.pid")
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, end if sys.argv[1] == "ends" else signal.SIG_IGN)
file.write_text(str(os.getpid()))
while True:
    time.sleep(0.02)
"""


@pytest.mark.parametrize(
    ("kind", "patience", "ends"),
    [("ends", 2.0, True), ("stays", 0.1, False)],
    ids=["it ends", "it does not even listen to that"],
)
def test_a_server_that_stops_slowly_is_told_to_end_at_once(tmp_path, logs, kind, patience, ends):
    home = Home(folder=tmp_path, uid=os.geteuid(), gid=os.getegid())
    home.data.mkdir()
    server = PostgresServer(home, tmp_path / "log", patience=patience)
    with subprocess.Popen([sys.executable, "-c", _SCRIPT, kind], cwd=home.data) as child:
        try:
            wait_until(lambda: server.process_id is not None)
            server.shut_down()
            assert (server.process_id is None) is ends
        finally:
            child.kill()
    assert len(logs.find("postgres_stops_slowly")) == 1
    assert len(logs.find("postgres_still_runs")) == (not ends)
