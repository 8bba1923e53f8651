"""Sends requests from a process of its own, and tells what became of them.

Full load comes from wrk, or from `bench.load` where wrk is absent; fixed rates always come from
`bench.load`. The sender shares the cores with what is measured, so its own processor time is told
as well.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from testbed.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONNECTIONS: Final = 256
_SECONDS: Final = 4
_RATED_SECONDS: Final = 8
_FORM: Final = "application/x-www-form-urlencoded"
_SCRIPT: Final = """
local requests = {}
for text in io.open("%s", "rb"):read("*a"):gmatch("[^%%z]+") do requests[#requests + 1] = text end
math.randomseed(os.time())
request = function() return requests[math.random(#requests)] end
"""
_MILLISECONDS: Final = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}
_SHARE: Final = re.compile(r"^\s+(\d+)(?:\.\d+)?%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_LONGEST: Final = re.compile(r"^\s+Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s|m)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one load saw. Latencies are in milliseconds; `failed`: answers that were not 2xx.

    `sender`: how many cores the sender has used.
    """

    per_second: float
    p50: float
    p99: float
    longest: float
    answers: int
    failed: int
    sender: float


def write_requests(
    path: Path, target: str, keys: Sequence[str], *, body: str = "audience=api"
) -> Path:
    """Write one request per key to a file, as `bench.load` reads them."""
    credentials = [f"Authorization: Bearer {key}\r\n" for key in keys]
    return write_posts(path, target, credentials, body)


def write_posts(path: Path, target: str, headers: Sequence[str], body: str) -> Path:
    """Write one POST of a form for each of `headers`, which are whole lines, to a file."""
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: {_FORM}\r\nContent-Length: {len(body)}\r\n"
    path.write_bytes(b"\0".join(f"{head}{lines}\r\n{body}".encode() for lines in headers))
    return path


def full_load(
    port: int,
    requests: Path,
    *,
    seconds: float = _SECONDS,
    connections: int = CONNECTIONS,
    tls: bool = False,
) -> Run:
    """Send as much as is answered."""
    if shutil.which("wrk") is None:
        return at_rate(port, requests, rate=0, seconds=seconds, connections=connections, tls=tls)
    script = requests.with_suffix(".lua")
    script.write_text(_SCRIPT % requests)
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    before = _used_by_children()
    output = subprocess.run(
        ["wrk", *options, "-s", str(script), url], capture_output=True, text=True, check=True
    ).stdout
    return _parse_wrk(output, _used_by_children() - before)


def _parse_wrk(output: str, used: float) -> Run:
    """Return what wrk printed. It says 0 for the latencies if nothing was answered."""
    answers, lasted = re.findall(r"(\d+) requests in ([\d.]+)(?:s|m)", output)[0]
    shares = {
        share: float(time) * _MILLISECONDS[unit] for share, time, unit in _SHARE.findall(output)
    }
    longest = [float(time) * _MILLISECONDS[unit] for time, unit in _LONGEST.findall(output)]
    refused = re.findall(r"Non-2xx or 3xx responses: (\d+)", output)
    lost = re.findall(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    return Run(
        per_second=float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0]),
        p50=shares.get("50", 0.0),
        p99=shares.get("99", 0.0),
        longest=max(longest, default=0.0),
        answers=int(answers),
        failed=sum(map(int, refused)) + sum(int(number) for each in lost for number in each),
        sender=used / float(lasted),
    )


def _used_by_children() -> float:
    """Return the processor time of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def at_rate(
    port: int,
    requests: Path,
    *,
    rate: float,
    seconds: float = _RATED_SECONDS,
    connections: int = 64,
    poisson: bool = False,
    tls: bool = False,
) -> Run:
    """Send at a fixed rate, with `poisson` at random moments; 0 means as much as is answered."""
    options = ["--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections)]
    options += ["--poisson"] * poisson + ["--tls"] * tls
    command = [sys.executable, "-m", "bench.load", "127.0.0.1", str(port), str(requests), *options]
    seen = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    statuses = {status: int(count) for status, count in seen["statuses"].items()}
    return Run(
        per_second=seen["per_second"],
        p50=seen["p50"],
        p99=seen["p99"],
        longest=seen["max"],
        answers=sum(statuses.values()),
        failed=sum(count for status, count in statuses.items() if status != "200"),
        sender=seen["cores"],
    )


def median(runs: Sequence[Run]) -> Run:
    """Return the run in the middle, by requests per second."""
    return sorted(runs, key=lambda run: run.per_second)[len(runs) // 2]
