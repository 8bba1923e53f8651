"""What the operating system lets a process of ours do."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, sys
from tokensvc.cli.process_limits import forbid_core_dumps, raise_descriptor_limit

resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
forbid_core_dumps()
raise_descriptor_limit()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3), soft == hard)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")
def test_t25_no_core_is_dumped_and_all_descriptors_may_be_used():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "(0, 0) 0 True"
