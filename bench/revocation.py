"""How long does a revoked token live? From the acknowledgement by the issuer to the refusal by a follower in another process.

    python -m bench.revocation [-n 200] [--followers 1]

Starts its own service in a temporary folder on a free port, and stops it. Times are taken with the monotonic clock, which all
processes of a machine share. A revocation that the follower heard of before the issuer's acknowledgement arrived counts as zero.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import aiohttp
from testbed.processes import ServiceProcess

from tokensvc.core.errors import InvalidTokenError
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AUDIENCE: Final = "api"
_ROOT: Final = Path(__file__).parent.parent
_KEYS: Final = 4  # 200 exchanges in a few seconds are too many for the limits of one key
_POLL_SECONDS: Final = 0.0005
_GIVE_UP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What became of one revocation; `seconds` None: the follower still took the token after ten seconds."""

    seconds: float | None
    reason: str


async def measure(
    issuer: str, api_keys: Sequence[str], revocations: int, followers: int = 1
) -> list[Refusal]:
    """Revoke so many fresh tokens one after another, and see each refused by a follower in another process.

    `followers`: how many follow in that process; all but the one that is asked are there for the load.
    """
    with _follower(issuer, followers) as (asked, answers):
        async with aiohttp.ClientSession(issuer, raise_for_status=True) as session:
            return [
                await _revoke_one(session, api_keys[i % len(api_keys)], asked, answers)
                for i in range(revocations)
            ]


async def _revoke_one(
    session: aiohttp.ClientSession, api_key: str, asked: IO[str], answers: IO[str]
) -> Refusal:
    async with session.post("/v1/token", headers={"Authorization": f"Bearer {api_key}"}) as answer:
        token = str((await answer.json())["access_token"])
    print(token, file=asked, flush=True)
    accepted = json.loads(await asyncio.to_thread(answers.readline))
    if accepted != "accepted":
        raise RuntimeError(f"the follower refuses a fresh token: {accepted}")
    async with session.post("/v1/revoke", data={"token": token}):
        acknowledged_at = time.monotonic()
    refused_at, reason = json.loads(await asyncio.to_thread(answers.readline))
    return Refusal(None if refused_at is None else max(0.0, refused_at - acknowledged_at), reason)


@contextmanager
def _follower(issuer: str, followers: int) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [
        sys.executable,
        "-m",
        "bench.revocation",
        "--follow",
        issuer,
        "--followers",
        str(followers),
    ]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        if (
            child.stdin is None
            or child.stdout is None
            or json.loads(child.stdout.readline()) != "ready"
        ):
            raise RuntimeError("the follower did not start")
        yield child.stdin, child.stdout
        child.stdin.close()


async def _follow(issuer: str, followers: int) -> None:
    """Read tokens from stdin; of each say that it is accepted, and then when it is not any more."""
    async with AsyncExitStack() as stack:
        verifiers = [Verifier(issuer=issuer, audience=AUDIENCE) for _ in range(followers)]
        await asyncio.gather(*(stack.enter_async_context(verifier) for verifier in verifiers))
        _say("ready")
        while token := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                verifiers[0].verify(token)
            except InvalidTokenError as error:
                _say(error.reason)
                continue
            _say("accepted")
            _say(await _wait_for_refusal(verifiers[0], token))


async def _wait_for_refusal(verifier: Verifier, token: str) -> tuple[float | None, str]:
    give_up_on = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < give_up_on:
        try:
            verifier.verify(token)
        except InvalidTokenError as error:
            return time.monotonic(), error.reason
        await asyncio.sleep(_POLL_SECONDS)
    return None, "still_accepted"


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


@contextmanager
def _service() -> Iterator[tuple[str, list[str]]]:
    """Run a service of our own; yields its address and some API keys."""
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # its Postgres may run as another user
        process = ServiceProcess(folder, (), {"TOKENSVC_LOG_LEVEL": "warning"})
        try:
            process.wait_until_ready()
            account = process.cli("account", "create", "bench", "--field", "id").stdout.strip()
            arguments = (
                "key",
                "create",
                "--account",
                account,
                "--name",
                "bench",
                "--capability",
                "bench:run",
                "--field",
                "key",
            )
            yield process.url, [process.cli(*arguments).stdout.strip() for _ in range(_KEYS)]
        finally:
            process.stop()


def report(refusals: Sequence[Refusal], followers: int) -> str:
    """Return the figures as text."""
    times = sorted(refusal.seconds for refusal in refusals if refusal.seconds is not None)
    figures = (
        [
            f"{name} {1000 * times[min(len(times) - 1, int(share * len(times)))]:.1f} ms"
            for name, share in _SHARES
        ]
        if times
        else []
    )
    return "\n".join(
        [
            f"revocation, acknowledged -> refused by a follower in another process; {followers} follower(s)",
            f"  N {len(refusals)}, refused {len(times)}",
            f"  {', '.join(figures)}",
        ]
    )


_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.revocation", description="Measure the latency of revocation."
    )
    parser.add_argument("-n", "--revocations", type=int, default=200)
    parser.add_argument("--followers", type=int, default=1)
    parser.add_argument("--follow", metavar="ISSUER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.follow is not None:
        asyncio.run(_follow(options.follow, options.followers))
        return 0
    with _service() as (issuer, api_keys):
        refusals = asyncio.run(measure(issuer, api_keys, options.revocations, options.followers))
    print(report(refusals, options.followers))
    return 0 if all(refusal.seconds is not None for refusal in refusals) else 1


if __name__ == "__main__":
    sys.exit(main())
