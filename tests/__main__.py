"""`python -m tests`: run the suite on two cores, and hold it to its coverage.

python -m tests             all but tests/soak and tests/browser: five minutes; 100 % of the
                            branches of `core` and `verify` must be covered, and 90 % of the rest
python -m tests fast        what needs neither a process nor a service: under a minute
python -m tests soak        what kills, installs, fails over and repeats, and what looks at the
                            dashboard with a browser: 30 minutes at most
python -m tests ARGUMENTS   pytest with these arguments, in this process alone
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PURE = "src/tokensvc/core/*,src/tokensvc/verify/*"
# Each module stays together: its tests share services. They come in the order of their names:
# those with few and long tests are not left for the end, where only one process would work.
BY_MODULE = ("--dist", "loadscope", "--no-loadscope-reorder")
# Its tests wait as often as they compute.
PARALLEL = ("-n", "4", *BY_MODULE)
# What is killed and started again needs the machine more for itself.
PARALLEL_SOAK = ("-n", "3", *BY_MODULE)
MOST_PROCESSES = "45"  # the README's walkthrough starts another fifteen in its shell
FAST = ("tests/unit", "tests/property", "tests/docs/test_tree.py")
TRACEBACKS = (b"Traceback (most recent call last)", b"Exception ignored in")
COVERAGE = (sys.executable, "-m", "coverage")
PYTEST = (sys.executable, "-m", "pytest")


def main(arguments: list[str]) -> int:
    for variable in [
        name
        for name in os.environ
        if name.startswith("TOKENSVC_") and name != "TOKENSVC_POSTGRES_BIN_DIR"
    ]:
        del os.environ[variable]
    # Images of containers often set it. Without it, what is compiled once serves all processes.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Who starts this in the background, or by nohup, may have these ignored: children inherit it.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    match arguments:
        case []:
            return run_all()
        case ["fast"]:
            return read(*PYTEST, *PARALLEL, *FAST)
        case ["soak"]:
            # A browser's tests are a process of their own: they break asynchronous ones.
            return read(*PYTEST, *PARALLEL_SOAK, "tests/soak") | read(*PYTEST, "tests/browser")
        case _:
            return call(*PYTEST, *arguments)


def run_all() -> int:
    call(*COVERAGE, "erase")
    failed = read(*COVERAGE, "run", "-m", "pytest", *PARALLEL, "--most-processes", MOST_PROCESSES)
    if failed:
        return failed
    call(*COVERAGE, "combine", "--quiet")
    print("\ncoverage of core and verify, 100 % demanded:")
    failed |= call(*COVERAGE, "report", f"--include={PURE}", "--fail-under=100")
    print("\ncoverage of the rest, 90 % demanded:")
    return failed | call(*COVERAGE, "report", f"--omit={PURE}", "--fail-under=90")


def call(*command: str) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def read(*command: str) -> int:
    """Call pytest and show what it prints. A traceback in it fails, although all tests pass.

    Such is what nobody waits for: an error while a process ends, or in a task that was forgotten.
    """
    colored = ("--color=yes",) if sys.stdout.isatty() else ()
    out, into = os.pipe()
    running = subprocess.Popen([*command, *colored], cwd=ROOT, stdout=into, stderr=into)
    os.close(into)
    found, before = False, b""
    while part := os.read(out, 65_536):
        sys.stdout.buffer.write(part)
        sys.stdout.flush()
        before = before[-100:] + part
        found = found or any(mark in before for mark in TRACEBACKS)
    os.close(out)
    failed = running.wait()
    if found and not failed:
        print("\nno test has failed, but a traceback was printed")
    return failed or int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
