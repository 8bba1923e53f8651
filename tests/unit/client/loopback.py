"""An issuer and a relying party that do as told, and a clock that stands still.

The servers are real HTTP servers on loopback, each in a thread.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tokensvc.core.api_key import checksum

if TYPE_CHECKING:
    from collections.abc import Callable

INVALID_TOKEN = 'Bearer realm="orders", error="invalid_token", error_description="expired"'


def make_api_key(fill: str = "a") -> str:
    body = "tsk-" + fill * 26
    return body + checksum(body)


KEY, OTHER_KEY = make_api_key("a"), make_api_key("b")


@dataclass
class Received:
    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: value for name, (value,) in parse_qs(self.body.decode()).items()}

    @property
    def bearer(self) -> str | None:
        header = self.headers["Authorization"]
        return None if header is None else header.removeprefix("Bearer ")


@dataclass
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, error: str, description: str = "", **headers: str) -> Reply:
    body = {"error": error, "error_description": description or error}
    return Reply(
        status,
        json.dumps(body).encode(),
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


class Clock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Server:
    """Answers each request with what `respond` returns."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._server = _start(self)
        self.port = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"

    def respond(self, request: Received) -> Reply:
        raise NotImplementedError

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Issuer(Server):
    """Gives token-1, token-2, ... after what `replies` holds. Waits while `gate` is closed."""

    def __init__(self, *, expires_in: float = 600) -> None:
        self.expires_in = expires_in
        self.replies: list[Reply | Callable[[Received], Reply]] = []
        self.rejected: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Semaphore(0)
        super().__init__()

    @property
    def asked(self) -> int:
        return len(self.received)

    def respond(self, request: Received) -> Reply:
        number = self.asked
        self.arrived.release()
        self.gate.wait(10)
        if self.replies:
            reply = self.replies.pop(0)
            return reply if isinstance(reply, Reply) else reply(request)
        if request.bearer in self.rejected:
            return refusal(
                401,
                "invalid_client",
                WWW_Authenticate='Bearer realm="tokensvc", error="invalid_client"',
            )
        scope = request.form.get("scope", "") if request.body else ""
        return grant(f"token-{number}", self.expires_in, scope=scope)


def grant(token: object, expires_in: object = 600, **more: object) -> Reply:
    return Reply(
        200,
        json.dumps(
            {"access_token": token, "token_type": "Bearer", "expires_in": expires_in, **more}
        ).encode(),
    )


class RelyingParty(Server):
    """Refuses the tokens in `refused`, and redirects the paths in `redirects`.

    To everything else it answers with the token that it got, and the body.
    """

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.refusal = Reply(401, b"no", {"WWW-Authenticate": INVALID_TOKEN})
        self.redirects: dict[str, tuple[int, str]] = {}
        super().__init__()

    @property
    def bearers(self) -> list[str | None]:
        return [request.bearer for request in self.received]

    def respond(self, request: Received) -> Reply:
        if request.path in self.redirects:
            status, place = self.redirects[request.path]
            return Reply(status, b"", {"Location": place})
        if request.bearer in self.refused:
            return self.refusal
        return Reply(200, f"{request.bearer} {request.body.decode()}".encode())


def _start(owner: Server) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            request = Received(self.command, self.path, self.headers, self._read_body())
            owner.received.append(request)
            reply = owner.respond(request)
            self.send_response(reply.status)
            for name, value in {
                "Content-Length": str(len(reply.body)),
                "Connection": "close",
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - http.server's names

        def _read_body(self) -> bytes:
            if self.headers["Transfer-Encoding"] != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"] or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    class LoopbackServer(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 300

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that went away

    server = LoopbackServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server
