"""What the unit of systemd demands of the service, tried without systemd."""

from __future__ import annotations

import ctypes
import socket
import sys

import pytest
from testbed.processes import EXECUTABLE
from testbed.waiting import PATIENCE

from tests.e2e.calls import exchange, new_key

# linux/prctl.h, since Linux 6.3: what MemoryDenyWriteExecute= does by a filter.
PR_SET_MDWE, PR_GET_MDWE, REFUSE_EXEC_GAIN = 65, 66, 1
DENY = (
    "import ctypes, os, sys\n"
    f"assert ctypes.CDLL(None).prctl({PR_SET_MDWE}, {REFUSE_EXEC_GAIN}, 0, 0, 0) == 0\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


def test_it_needs_no_memory_that_is_both_writable_and_executable(new_process, new_database_url):
    if ctypes.CDLL(None).prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0:
        pytest.skip("MemoryDenyWriteExecute WAS NOT TRIED: it takes Linux 6.3")
    process = new_process(
        command=[sys.executable, "-c", DENY, str(EXECUTABLE)],
        TOKENSVC_DATABASE_URL=new_database_url("empty"),
    )
    process.wait_until_ready()
    assert exchange(process.url, new_key(process).text)


def test_systemd_is_told_when_it_takes_requests(new_process, new_database_url, tmp_path):
    address = str(tmp_path / "news")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
        news.bind(address)
        news.settimeout(PATIENCE)
        process = new_process(
            "--workers",
            "2",
            TOKENSVC_DATABASE_URL=new_database_url("empty"),
            NOTIFY_SOCKET=address,
        )
        assert news.recv(100) == b"READY=1"
        assert process.is_ready()
