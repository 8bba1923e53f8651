"""What is made ahead is handed out once, also by processes that were forked."""

from __future__ import annotations

import subprocess
import sys
from itertools import count

from tokensvc.issuer.identifier_stock import IdentifierStock

FORK = """
import os, sys
from tokensvc.issuer.identifier_stock import IdentifierStock
ahead = IdentifierStock(lambda: [(os.getpid(), number) for number in range(8)])
parent = ahead.take()
if os.fork() == 0:
    sys.exit(ahead.take()[0] != os.getpid())
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) or ahead.take() == parent)
"""


def test_each_is_handed_out_once_and_more_are_made_when_none_is_left():
    numbers = count()
    ahead = IdentifierStock(lambda: [next(numbers) for _ in range(3)])
    assert sorted(ahead.take() for _ in range(7)) == sorted({0, 1, 2, 3, 4, 5, 8})


def test_a_forked_process_hands_out_nothing_of_its_parent():
    assert subprocess.run([sys.executable, "-c", FORK], check=False).returncode == 0
