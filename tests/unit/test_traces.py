"""Sending traces, and what stays away while there are none."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.traces import tracing as module
from tokensvc.traces.tracing import Tracing, check_tracing, tracing

WITHOUT = """
import sys
import tokensvc.web.server
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.fixture
def collector(monkeypatch):
    """What OpenTelemetry sends, as (path, body)."""
    received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        yield received
        server.shutdown()
        thread.join()


def test_spans_are_sent_at_the_end_under_the_name_that_the_environment_gives(
    collector, monkeypatch
):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "tokens-west")
    with tracing(is_wanted=True):
        tracer = Tracing.tracer
        assert tracer is not None
        with tracer.trace_request({}, "GET", "/v1/x"):
            assert str(tracer.find_traceparent()).startswith("00-")
        assert tracer.find_traceparent() is None
    ((path, body),) = collector
    assert path == "/v1/traces"
    assert b"GET /v1/x" in body
    assert b"tokens-west" in body


def test_a_service_without_traces_never_imports_opentelemetry():
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)
    assert Tracing.tracer is None, "nor is there one after those that were there have ended"


def test_a_start_without_the_package_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    check_tracing(is_wanted=False)
    with pytest.raises(StartRefusedError, match="pip install 'tokensvc\\[otel\\]'"):
        check_tracing(is_wanted=True)
