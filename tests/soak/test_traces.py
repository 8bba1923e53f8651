"""Traces of processes: each worker sends its own, and nobody waits for a collector that is away."""

from __future__ import annotations

import json

from testbed.collector import collecting
from testbed.ports import find_free_port
from testbed.waiting import wait_until

from tests.e2e.calls import exchange, new_key


def test_workers_send_the_spans_of_exchanges_batches_and_statements(new_process):
    with collecting() as collector:
        process = new_process(
            "--workers",
            "2",
            TOKENSVC_TRACES="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            OTEL_BSP_SCHEDULE_DELAY="100",
        )
        process.wait_until_ready()
        key = new_key(process)
        for _ in range(20):
            assert exchange(process.url, key.text)
        wait_until(lambda: collector.has("POST /v1/token", "ledger batch", "postgres select"))
        process.stop()
        assert not collector.has(key.text)
    lines = [json.loads(line) for line in process.errors.splitlines()]
    traced = [line for line in lines if line["event"] == "request" and "traceparent" in line]
    assert {line["route"] for line in traced} == {"/v1/token"}
    assert len({line["traceparent"] for line in traced}) == 20


def test_a_collector_that_is_away_changes_nothing(new_process):
    away = f"http://127.0.0.1:{find_free_port()}"
    process = new_process(
        TOKENSVC_TRACES="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=away,
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    process.wait_until_ready()
    key = new_key(process)
    assert all(exchange(process.url, key.text) for _ in range(20))
    process.stop()
