"""Traces: what a request did, for OpenTelemetry (the extra `otel`).

    tracing  the one tracer of this process, None while nothing is traced
    tracer   the spans of requests, of the ledger's batches, and of statements

Only `tracer` imports OpenTelemetry, and only `start_tracing` imports `tracer`.
"""
