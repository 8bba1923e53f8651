"""Sending traces, and what stays away while there are none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from testbed.collector import collecting

from tokensvc.core.errors import StartRefusedError
from tokensvc.traces import tracing as module
from tokensvc.traces.tracer import name_statement
from tokensvc.traces.tracing import Tracing, check_tracing, tracing

WITHOUT = """
import sys
import tokensvc.web.server
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def test_spans_are_sent_at_the_end_under_the_name_that_the_environment_gives(monkeypatch):
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "tokens-west")
        with tracing(is_wanted=True):
            tracer = Tracing.tracer
            assert tracer is not None
            with tracer.trace_request({}, "GET", "/v1/x"):
                assert str(tracer.find_traceparent()).startswith("00-")
            assert tracer.find_traceparent() is None
        assert [path for path, _ in collector.received] == ["/v1/traces"]
        assert collector.has("GET /v1/x", "tokens-west")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("select 1", "postgres select"),
        ("-- Why it is asked.\n-- And how.\nUPDATE x", "postgres update"),
        ("\n  BEGIN;", "postgres begin"),
        ("", "postgres statement"),
    ],
)
def test_the_span_of_a_statement_is_called_by_its_first_word_behind_comments(text, name):
    assert name_statement(text) == name


def test_a_service_without_traces_never_imports_opentelemetry():
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)
    assert Tracing.tracer is None, "nor is there one after those that were there have ended"


def test_a_start_without_the_package_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    check_tracing(is_wanted=False)
    with pytest.raises(StartRefusedError, match="pip install 'tokensvc\\[otel\\]'"):
        check_tracing(is_wanted=True)
