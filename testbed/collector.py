"""What OpenTelemetry sends its traces to."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector:
    """`received`: the path and the body of each request. `address`: where it listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received: list[tuple[str, bytes]] = []

    def has(self, *names: str) -> bool:
        """Tell whether spans with all these names, or other texts, have come."""
        text = b"".join(body for _, body in self.received)
        return all(name.encode() in text for name in names)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.received.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
