"""`kill -9`, of the service and of its Postgres, under load: nothing that was acknowledged is lost, nothing needs repair."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal

import aiohttp
import pytest

from tests.e2e.calls import (
    AUDIENCE,
    exchange,
    is_ready,
    jwks,
    new_account,
    new_key,
    revoke,
    try_exchange,
    wait_until,
)
from tests.e2e.launched import is_alive, postmaster_of
from tokensvc.core.errors import InvalidTokenError
from tokensvc.verify import Verifier

WORKERS = [(), ("--workers", "2")]


class Load:
    """200 exchanges, revocations of tokens and of keys by HTTP and by the command line, and new keys, all at once."""

    def __init__(self, process, keys, tokens, doomed):
        self.process, self.keys, self.tokens, self.doomed = process, keys, tokens, doomed
        self.exchanged: list[str] = []
        self.revoked: set[str] = set()  # acknowledged
        self.made: list[str] = []  # acknowledged
        self.statuses: list[int] = []
        self.crash_after, self.crash = 0, lambda: None

    async def run(self, crash_after, crash):
        self.crash_after, self.crash = crash_after, crash
        connector, timeout = aiohttp.TCPConnector(limit=10), aiohttp.ClientTimeout(10)
        async with aiohttp.ClientSession(
            self.process.url, connector=connector, timeout=timeout
        ) as session:
            acts = [self._exchange(session, self.keys[i % len(self.keys)].text) for i in range(200)]
            for i, token in enumerate(self.tokens):
                acts.insert(i * 12, self._revoke(session, token))
            for i, key in enumerate(self.doomed[:5]):
                acts.insert(i * 40, self._revoke(session, key.text))
            tasks = [asyncio.create_task(act) for act in acts]
            tasks += [asyncio.create_task(self._revoke_by_cli(key)) for key in self.doomed[5:]]
            tasks += [asyncio.create_task(self._make_key()) for _ in range(2)]
            await asyncio.gather(*tasks)

    async def _exchange(self, session, key):
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.post(
                "/v1/token", headers={"Authorization": f"Bearer {key}"}
            ) as answer:
                self.statuses.append(answer.status)
                if answer.status == 200:
                    self.exchanged.append((await answer.json())["access_token"])
                    if len(self.exchanged) == self.crash_after:
                        self.crash()

    async def _revoke(self, session, credential):
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.post("/v1/revoke", data={"token": credential}) as answer:
                self.statuses.append(answer.status)
                if answer.status == 200:
                    self.revoked.add(credential)

    async def _revoke_by_cli(self, key):
        done = await asyncio.to_thread(
            self.process.cli, "key", "revoke", key.id, "--yes", "-o", "json"
        )
        if done.returncode == 0:
            self.revoked.add(key.text)

    async def _make_key(self):
        arguments = (
            "--account",
            self.keys[0].account,
            "--name",
            "n",
            "--capability",
            "orders:read",
            "-o",
            "json",
        )
        made = await asyncio.to_thread(self.process.cli, "key", "create", *arguments)
        if made.returncode == 0:
            self.made.append(json.loads(made.stdout)["key"])


def prepare(process):
    """A load, and a token of each key that it will revoke."""
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url))
    account = new_account(process)
    keys, doomed = (
        [new_key(process, account) for _ in range(4)],
        [new_key(process, account) for _ in range(8)],
    )
    tokens = [exchange(process.url, keys[i % 4].text) for i in range(12)]
    return Load(process, keys, tokens, doomed), {
        key.text: exchange(process.url, key.text) for key in doomed
    }


async def check_survivors(load, tokens_of):
    """All that was acknowledged holds, all that was not touched works."""
    url = load.process.url
    async with Verifier(issuer=url, audience=AUDIENCE) as verifier:
        for credential in load.revoked:
            with pytest.raises(InvalidTokenError, match="revoked"):
                verifier.verify(tokens_of.get(credential, credential))
            if credential in tokens_of:
                assert try_exchange(url, credential).status == 401
        for token in load.exchanged:
            verifier.verify(token)
        for key in [*load.made, *(key.text for key in load.keys)]:
            verifier.verify(exchange(url, key))


def restart(process):
    """Start again on the same port, as soon as the workers that were left alone have let go of it."""
    wait_until(lambda: not is_ready(process.url))
    process.start()
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url))


@pytest.mark.parametrize("arguments", WORKERS)
async def test_the_service_is_killed_under_load(launch, arguments):
    process = launch(*arguments)
    load, tokens_of = prepare(process)
    document = jwks(process.url)
    workers = process.workers
    await load.run(60, lambda: process.send_group(signal.SIGKILL))
    process.wait()
    wait_until(lambda: not any(is_alive(worker) for worker in workers))
    assert 60 <= len(load.exchanged) < 100
    assert 3 <= len(load.revoked) < 20
    restart(process)
    await check_survivors(load, tokens_of)
    assert process.output.count("This is the first start") == 1
    assert jwks(process.url) == document

    postmaster = postmaster_of(process)  # and once more, with nobody left who could stop Postgres
    token = exchange(process.url, load.keys[0].text)
    assert revoke(process.url, token) == 200
    workers = process.workers
    process.kill()
    wait_until(lambda: not any(is_alive(worker) for worker in workers))
    assert is_alive(postmaster)
    restart(process)
    assert postmaster_of(process) == postmaster
    load.revoked.add(token)
    await check_survivors(load, tokens_of)
    process.stop()
    assert not is_alive(postmaster)
    assert "Traceback" not in process.errors


async def test_the_embedded_postgres_is_killed_under_load(launch):
    process = launch()
    load, tokens_of = prepare(process)
    postmaster = postmaster_of(process)
    await load.run(60, lambda: os.kill(postmaster, signal.SIGKILL))
    assert process.cli("account", "list").returncode == 0, (
        "a command starts it again, though the service still runs"
    )
    assert postmaster_of(process) != postmaster
    wait_until(lambda: is_ready(process.url), 15)
    await check_survivors(load, tokens_of)
    os.kill(postmaster_of(process), signal.SIGKILL)
    wait_until(lambda: not is_ready(process.url), 15)
    answer = try_exchange(process.url, load.keys[0].text)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert revoke(process.url, load.tokens[0]) == 503
    process.stop()
    process.start()
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url))
    await check_survivors(load, tokens_of)
    assert process.output.count("This is the first start") == 1
    assert set(load.statuses) <= {200, 503}, [
        line for line in process.errors.splitlines() if "request_failed" in line
    ][-1:]


def test_a_command_after_everything_was_killed_starts_postgres_again(launch):
    process = launch()
    process.wait_until_ready()
    key = new_key(process)
    postmaster = postmaster_of(process)
    os.kill(postmaster, signal.SIGKILL)
    process.kill()
    shown = process.cli("key", "show", key.id, "-o", "json")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["id"] == key.id
