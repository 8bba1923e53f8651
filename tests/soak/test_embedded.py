"""The zero-setup Postgres after crashes of itself and of who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from testbed.waiting import until

from tests.integration.clusters import FAST, ask, is_running
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.postgres_binaries import unprivileged_user

STARTER = """
import signal, sys
from pathlib import Path
from tokensvc.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), options=("fsync=off",))
server.start()
print(server.process_id, flush=True)
signal.pause()
"""
FORKER = """
import os, sys
from pathlib import Path
from tokensvc.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), options=("fsync=off",))
server.start()
child = os.fork()
if child == 0:
    server.stop()
    os._exit(0)
os.waitpid(child, 0)
print(server.process_id is not None)
server.stop()
print(server.process_id is None)
"""


async def test_a_server_whose_starter_was_killed_is_adopted_and_stopped_by_the_next(new_folder):
    folder = new_folder()
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, folder], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    process_id = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert is_running(process_id)
    server = EmbeddedPostgres(folder, options=FAST)
    url = server.start()
    assert server.process_id == process_id
    assert await ask(url) == 42
    server.stop()
    await until(lambda: not is_running(process_id))


async def test_a_server_that_was_killed_is_started_again_with_its_data(new_folder):
    server = EmbeddedPostgres(new_folder())
    url = server.start()
    await ask(url, "create table kept as select 1 as one")
    process_id = server.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    await until(lambda: not is_running(process_id))
    server.stop()
    assert await ask(server.start(), "select one from kept") == 1
    server.stop()


def test_a_forked_child_leaves_the_server_alone(new_folder):
    told = subprocess.run(
        [sys.executable, "-c", FORKER, new_folder()], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["True", "True"]


async def test_half_a_cluster_that_a_killed_start_left_is_made_anew(new_folder):
    folder = new_folder()
    server = EmbeddedPostgres(folder, options=FAST)
    (folder / "postgres" / "data.new").mkdir(parents=True)
    (folder / "postgres" / "data.new" / "PG_VERSION").write_text("half")
    (folder / "postgres-password").write_text("old")
    uid, gid = unprivileged_user(None)
    for path in (folder / "postgres", folder / "postgres" / "data.new"):
        os.chown(path, uid, gid)
    (folder / "postgres").chmod(0o700)
    assert await ask(server.start()) == 42
    server.stop()


def test_a_start_that_was_killed_after_making_the_folder_is_mended(new_folder):
    folder = new_folder()
    (folder / "postgres").mkdir(mode=0o711)
    (folder / "postgres" / "data.new").mkdir()
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
