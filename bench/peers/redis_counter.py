"""The popular counter: a handler that signs, and a script in Redis that finds the key and counts.

    python -m bench.peers.redis_counter PORT SOCKET

What it counts is lost when Redis restarts, and whatever was revoked meanwhile comes back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time
import uuid
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import jwt
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from testbed.ports import find_free_port
from testbed.processes import ROOT
from testbed.waiting import wait_until

from bench.peers.program import find_program, running
from bench.sender import write_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.contest import Contestant

NAME: Final = "handler with Redis and Lua"
_KEYS: Final = 20_000
_PER_MINUTE: Final = 1_000_000_000
# Returns what is said of a key in JSON, "" for an unknown key, or nil over the limit.
_SCRIPT: Final = """
local facts = redis.call('GET', KEYS[1])
if not facts then return '' end
for _, window in ipairs({ARGV[1], ARGV[2]}) do
  local counter = KEYS[1] .. window
  if redis.call('INCR', counter) > tonumber(ARGV[3]) then return false end
  redis.call('EXPIRE', counter, 86400)
end
return facts
"""
_UNKNOWN, _LIMITED = 401, 429


class Redis:
    """One connection on which commands are pipelined, with as little in Python as can be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: deque[asyncio.Future[bytes | None]] = deque()
        self._task = asyncio.create_task(self._read())

    async def ask(self, *words: bytes) -> bytes | None:
        """Return the answer to a command. Raises RuntimeError if it is an error."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self._writer.write(b"*%d\r\n%s" % (len(words), parts))
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        return await answer

    async def _read(self) -> None:
        while line := await self._reader.readline():
            kind, said = line[:1], line[1:-2]
            value: bytes | None = said
            if kind == b"$":
                length = int(said)
                value = None if length < 0 else (await self._reader.readexactly(length + 2))[:-2]
            answer = self._waiting.popleft()
            if kind == b"-":
                answer.set_exception(RuntimeError(said.decode()))
            else:
                answer.set_result(value)


def build_app(socket: str) -> web.Application:
    """Return the application; `socket` is that of Redis."""
    key, headers = ec.generate_private_key(ec.SECP256R1()), {"typ": "at+jwt", "kid": "one"}
    state: dict[str, Any] = {}

    async def connect(_app: web.Application) -> None:
        redis = Redis(*await asyncio.open_unix_connection(socket))
        state.update(redis=redis, script=await redis.ask(b"SCRIPT", b"LOAD", _SCRIPT.encode()))

    async def exchange(request: web.Request) -> web.Response:
        form = await request.post()
        now = int(time.time())
        shown = request.headers["Authorization"].removeprefix("Bearer ")
        facts = await state["redis"].ask(
            *(b"EVALSHA", state["script"], b"1", hashlib.sha256(shown.encode()).digest()),
            *(b"%d" % (now // 60), b"%d" % (now // 86400), b"%d" % _PER_MINUTE),
        )
        if not facts:
            return web.Response(status=_LIMITED if facts is None else _UNKNOWN)
        claims = json.loads(facts) | {"aud": form["audience"], "iat": now, "exp": now + 600}
        claims["jti"] = uuid.uuid4().hex
        token = jwt.encode(claims, key, algorithm="ES256", headers=headers)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 600}
        body["scope"] = claims["scope"]
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    app = web.Application()
    app.on_startup.append(connect)
    app.router.add_post("/v1/token", exchange)
    return app


@contextmanager
def open_redis(folder: Path) -> Iterator[Contestant]:
    """Run both, with 20,000 keys."""
    server = find_program("redis-server", "apt install redis-server")
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    with subprocess.Popen([server, *options], stdout=subprocess.DEVNULL) as redis:
        try:
            wait_until(socket.exists)
            keys = [f"tsk-{number:032d}" for number in range(_KEYS)]
            asyncio.run(_fill(str(socket), keys))
            requests = write_requests(folder / "redis", "/v1/token", keys)
            port = find_free_port()
            command = [sys.executable, "-m", "bench.peers.redis_counter", str(port), str(socket)]
            path = {"PYTHONPATH": str(ROOT)}
            with running(
                *(NAME, command, port, requests),
                folder=folder,
                environment=path,
                database=(redis.pid,),
            ) as peer:
                yield peer
        finally:
            redis.terminate()


async def _fill(socket: str, keys: list[str]) -> None:
    redis = Redis(*await asyncio.open_unix_connection(socket))
    facts = {"iss": "http://127.0.0.1:8080", "scope": "orders:read orders:write"}
    for number, key in enumerate(keys):
        own = {"sub": f"acct_{number % 100:016d}", "client_id": f"key_{number:016d}"}
        digest = hashlib.sha256(key.encode()).digest()
        await redis.ask(b"SET", digest, json.dumps(facts | own).encode())


def main() -> None:
    """Serve until killed."""
    uvloop.install()
    port, socket = sys.argv[1:]
    web.run_app(build_app(socket), host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main()
